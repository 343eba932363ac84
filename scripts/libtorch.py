"""Fetches libtorch for the CPU out of PyTorch's wheel. Called by scripts/setup: libtorch.py VERSION CACHE.

The wheel is the one package of libtorch that a package registry serves for every system. Nothing of it is
installed: the headers and the few libraries that a CPU program loads are unpacked into CACHE/libtorch-VERSION.
"""

import errno
import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

# Room for the wheel and what is unpacked from it, side by side.
BYTES_NEEDED = 1_300_000_000

# What only a GPU or Python itself would load. Linux wheels hold it, a CPU program does not need it.
NOT_NEEDED = re.compile(
    r"lib(torch_cuda|c10_cuda|torch_nvshmem|torch_python|caffe2_nvrtc|shm|torch_global_deps)\b|libtorch_cuda_linalg"
)


class Failure(Exception):
    """A sentence for the person at the terminal."""


def wheels(version):
    """(requirement, platforms, function from a name in the wheel to its place or None) for this system."""
    system, machine = platform.system(), platform.machine()
    if system == "Darwin" and machine == "arm64":
        release = platform.mac_ver()[0].split(".")[0]
        return [(f"torch=={version}", [f"macosx_{release}_0_arm64"], place)]
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(machine, machine)
    if system == "Linux" and machine in ("x86_64", "aarch64"):
        tags = [f"{tag}_{machine}" for tag in ("manylinux_2_28", "manylinux_2_25", "manylinux2014")]
        # libtorch_cpu.so of these wheels names the two CUDA libraries that start and trace a GPU. They load without one.
        return [
            (f"torch=={version}", tags, place),
            ("nvidia-cuda-runtime==13.0.*", tags, only("libcudart.so.13")),
            ("nvidia-cuda-cupti==13.0.*", tags, only("libcupti.so.13")),
        ]
    raise Failure(
        f"there is no libtorch {version} package for {system} on {platform.machine()}; "
        f"set LIBTORCH to a libtorch {version} of your own"
    )


def place(name):
    if name.startswith("torch/include/"):
        return name[len("torch/"):]
    # Libraries that the wheel borrowed from its build machine lie beside the package.
    folder, _, file = name.rpartition("/")
    if folder == "torch/lib" and file and not NOT_NEEDED.match(file):
        return f"lib/{file}"
    if folder == "torch.libs" and file:
        return f"torch.libs/{file}"
    return None


def only(file):
    return lambda name: f"lib/{file}" if name.endswith(f"/{file}") else None


def pip():
    """The command of a pip that runs, whatever it is called here."""
    for command in ([sys.executable, "-m", "pip"], ["pip3"], ["pip"]):
        try:
            if subprocess.run([*command, "--version"], capture_output=True, check=False).returncode == 0:
                return command
        except OSError:
            continue
    raise Failure(
        "Python's pip is needed to fetch libtorch: install it (Debian: apt install python3-pip), "
        "or set LIBTORCH to a libtorch of the right version"
    )


def download(command, requirement, platforms, folder):
    folder.mkdir()
    arguments = [
        *command, "download", "--no-deps", "--no-cache-dir", "--disable-pip-version-check",
        "--only-binary=:all:", "--python-version", "3.12", "--dest", str(folder),
    ]  # fmt: skip
    for tag in platforms:
        arguments += ["--platform", tag]
    # pip moves the file from its temporary folder: keep that on the same disk, /tmp may be small.
    environment = {**os.environ, "TMPDIR": str(folder)}
    result = subprocess.run([*arguments, requirement], env=environment, capture_output=True, text=True, check=False)
    found = list(folder.glob("*.whl"))
    if result.returncode == 0 and len(found) == 1:
        return found[0]
    said = [line for line in result.stderr.splitlines() if line.startswith("ERROR")] or result.stderr.splitlines()
    last = said[0].removeprefix("ERROR:").strip() if said else f"exit code {result.returncode}"
    if "No space left" in result.stderr:
        raise OSError(errno.ENOSPC, "No space left on device")
    raise Failure(
        f"pip could not download {requirement}: {last}. Check the network and pip's index, then run scripts/setup again"
    )


def unpack(wheel, placed, target):
    """Unpacks what `placed` gives a place to; zipfile checks each file's CRC, and its length is checked here."""
    count = 0
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            name = None if entry.is_dir() else placed(entry.filename)
            if name is None:
                continue
            if ".." in Path(name).parts:
                raise Failure(f"{wheel.name} holds a file outside its folder: {entry.filename}")
            file = target / name
            file.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, open(file, "wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
            if file.stat().st_size != entry.file_size:
                raise Failure(f"{file} is cut short; run scripts/setup again")
            count += 1
    if count == 0:
        raise Failure(f"{wheel.name} does not hold the files it should; run scripts/setup again")


def check_it_loads(target):
    """The one test that finds a missing library: load it, in a process of its own."""
    library = next(iter((target / "lib").glob("libtorch_cpu.*")), None)
    if library is None or not (target / "include/torch/csrc/autograd/engine.h").is_file():
        raise Failure("PyTorch's wheel lacks libtorch_cpu or its headers; run scripts/setup again")
    code = "import ctypes, sys; ctypes.CDLL(sys.argv[1])"
    result = subprocess.run([sys.executable, "-c", code, str(library)], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        last = (result.stderr.strip().splitlines() or [f"exit code {result.returncode}"])[-1]
        raise Failure(f"the fetched libtorch does not load on this system: {last}")


def fetch(version, cache):
    cache.mkdir(parents=True, exist_ok=True)
    final = cache / f"libtorch-{version}"
    with open(cache / f"libtorch-{version}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("setup: another setup is fetching libtorch; waiting for it", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (final / "build-version").is_file():
                return
        for left in cache.glob(".fetching-*"):  # by a setup that was killed: we hold the lock, so nobody writes there
            shutil.rmtree(left, ignore_errors=True)
        free = shutil.disk_usage(cache).free
        if free < BYTES_NEEDED:
            raise Failure(
                f"{cache} has {free / 1e9:.1f} GB free and fetching libtorch needs {BYTES_NEEDED / 1e9:.1f} GB; "
                "free some space, or set XDG_CACHE_HOME to a folder on another disk"
            )
        needed, command = wheels(version), pip()
        work = Path(tempfile.mkdtemp(prefix=".fetching-", dir=cache))
        try:
            target = work / "libtorch"
            for number, (requirement, platforms, placed) in enumerate(needed):
                print(f"setup: downloading {requirement}", file=sys.stderr)
                wheel = download(command, requirement, platforms, work / str(number))
                unpack(wheel, placed, target)
                wheel.unlink()
            if platform.system() == "Linux":
                # Build scripts link with -ltorch; the wheel's own libtorch.so would pull in the GPU libraries.
                (target / "lib/libtorch.so").write_text("INPUT ( -ltorch_cpu )\n")
            check_it_loads(target)
            (target / "build-version").write_text(f"{version}\n")
            if final.exists():  # not whole, or scripts/setup would not have called
                final.rename(work / "broken")
            target.rename(final)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def main():
    try:
        fetch(sys.argv[1], Path(sys.argv[2]))
    except Failure as failure:
        sys.exit(f"setup: {failure}")
    except KeyboardInterrupt:
        sys.exit("setup: stopped; nothing was changed")
    except zipfile.BadZipFile as error:
        sys.exit(f"setup: the downloaded wheel is damaged ({error}); run scripts/setup again")
    except OSError as error:
        advice = "free some space" if error.errno == errno.ENOSPC else "check that folder"
        sys.exit(f"setup: cannot write to {sys.argv[2]}: {error.strerror}; {advice}, then run scripts/setup again")


if __name__ == "__main__":
    main()
