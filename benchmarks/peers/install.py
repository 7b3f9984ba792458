"""Make the peers' environments, each in a folder of its own.

    python -m benchmarks.peers.install [--folder var/peers] [joeynmt ctranslate2]

What is there already is checked and left. torch comes first, at the project's own version, so that no peer
brings another one (TORCH_INDEX names another place to take it from, as in the Makefile).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tqdm import tqdm

FOLDER = Path("var/peers")
TORCH = "torch==2.13.0"
STEPS: dict[str, list[list[str]]] = {
    "joeynmt": [[TORCH], ["joeynmt==2.3.0", "importlib_metadata", "sentencepiece==0.2.0"]],
    "ctranslate2": [["ctranslate2==4.8.5", "numpy"]],
}
CHECKS = {
    "joeynmt": "import joeynmt.search, sentencepiece, torch",
    "ctranslate2": "import ctranslate2, ctranslate2.specs.transformer_spec",
}


def python_of(peer: str, folder: Path = FOLDER) -> Path:
    """The interpreter of a peer's environment, whether or not it is there."""
    return folder / peer / "bin" / "python"


def works(peer: str, folder: Path = FOLDER) -> bool:
    """Whether the peer can be imported in its environment."""
    python = python_of(peer, folder)
    if not python.exists():
        return False
    return subprocess.run([python, "-W", "ignore", "-c", CHECKS[peer]], capture_output=True).returncode == 0


def install(peer: str, folder: Path = FOLDER) -> None:
    """Make one environment.

    Raises:
        subprocess.CalledProcessError: pip failed; it has said why.
        RuntimeError: The peer cannot be imported although pip was content.
    """
    if works(peer, folder):
        return
    home = folder / peer
    if not python_of(peer, folder).exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
    pip = [str(python_of(peer, folder)), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    index = os.environ.get("TORCH_INDEX")
    for packages in tqdm(STEPS[peer], desc=peer):
        extra = ["--index-url", index] if index and packages == [TORCH] else []
        subprocess.run([*pip, *extra, *packages], check=True)
    if not works(peer, folder):
        raise RuntimeError(f"{peer} is installed in {home} but cannot be imported; delete {home} and try again")


def main() -> None:
    """Make the environments named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", metavar="peer", help=f"which (default all: {' '.join(STEPS)})")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"where (default {FOLDER})")
    options = parser.parse_args()
    for peer in options.peers:
        if peer not in STEPS:
            parser.error(f"there is no peer {peer!r}; choose from {', '.join(STEPS)}")
    for peer in options.peers or STEPS:
        install(peer, options.folder)
        print(f"{peer}: {python_of(peer, options.folder)}")


if __name__ == "__main__":
    main()
