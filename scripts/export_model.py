#!/usr/bin/env python3
"""Exports a TorchScript module of one's own for `architecture = "torchscript"`.

Usage: scripts/export_model.py SOURCE.py MODULE.pt

SOURCE.py holds a class `Module` (torch.nn.Module) that can be made without arguments and whose
`forward(history, candidates)` takes item numbers [k] and [c] (int64) and gives scores [c]. Prints the SHA-256 that the
plan names as `module`, and the name and shape of each parameter as the plan must declare it: dots and underscores are
written as `-`. Values are not used: the plan says how each tensor starts.

Needs Python with torch 2.13.
"""

import hashlib
import io
import os
import runpy
import sys
import zipfile
from pathlib import Path


def write(exported: io.BytesIO, target: str) -> None:
    """Leaves out what names folders of this machine or changes from run to run, and all times."""
    with zipfile.ZipFile(exported) as old, zipfile.ZipFile(target, "w") as new:
        for entry in sorted(old.namelist()):
            if entry.endswith(".debug_pkl") or "/.data/" in entry:
                continue
            name = "module/" + entry.split("/", 1)[1]
            new.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), old.read(entry))


def main() -> None:
    if len(sys.argv) != 3 or "--help" in sys.argv:
        print(__doc__.strip())
        sys.exit(0 if "--help" in sys.argv else 2)
    source, target = sys.argv[1:]
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of a module's constants would change from run to run, and the digest with it.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"})
    # Here, so that the help needs no torch.
    import torch

    module = runpy.run_path(source, run_name="model")["Module"]()
    with torch.no_grad():
        # The values are not used, so that two exports of one source are the same bytes.
        for parameter in module.parameters():
            parameter.zero_()
    scripted = torch.jit.script(module)
    exported = io.BytesIO()
    torch.jit.save(scripted, exported)
    write(exported, target)
    print(f'module = "{hashlib.sha256(Path(target).read_bytes()).hexdigest()}"')
    for name, parameter in scripted.named_parameters():
        plain = name.replace(".", "-").replace("_", "-").lower()
        print(f"{plain} {list(parameter.shape)}")


if __name__ == "__main__":
    main()
