from pathlib import Path

import nbclient
import nbformat

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def test_the_notebook_runs_and_shows_what_it_says() -> None:
    notebook = nbformat.read(EXAMPLES / "federation.ipynb", as_version=4)
    assert all(cell.get("outputs", []) == [] for cell in notebook.cells)
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in shown if output["output_type"] == "error"]
    pages = [output["data"].get("text/html", "") for output in shown if "data" in output]
    # The progress is one output that was shown anew; the report stands below it.
    bars = [page for page in pages if "<progress" in page]
    assert len(bars) == 1 and 'max="' in bars[0] and "HR@10" in bars[0]
    assert any("srcdoc=" in page and "<svg" in page for page in pages)
    assert float(shown[-1]["data"]["text/plain"]) > 0.2
