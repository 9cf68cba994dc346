"""README, pages and wheel, as someone does who has neither: in an empty folder, a fresh environment, from a clone.

`-s` shows the time of every command. Commands that need a download or hours are named here with the reason.
"""

import os
import re
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_digits

from figures.readme import PAGES
from ufm.start import PROGRAMS

ROOT = Path(__file__).parent.parent
LEFT_OUT = {
    r"cifar|--download|--data-folder|runs/usual": "170 MB of images, or hours without a GPU",
    r"-m pytest": "the tests themselves",
    r"deepnet experiment$": "95 trainings; the next command is one experiment of them",
    r"--engine slurm|head:6379": "needs a cluster",
} | ({} if find_spec("timm") and find_spec("torchvision") else {"timm:|torchvision:": "needs the extra `nets`"})
FINDINGS = r"--loss focal --loss\.gamma 3 --classes 30|--model deep --loss ce|atlas-compare"
"""Commands whose answer is exit code 1: the README says so."""
MY_MODULE = """
import torch
from sklearn.datasets import load_digits
from torch import nn

class MyLoss:
    def __init__(self, epsilon: float = 1.0):
        self.epsilon = epsilon

    def __call__(self, logits, labels):
        log_p = logits.log_softmax(-1).gather(-1, labels[:, None])[:, 0]
        return self.epsilon * (1 - log_p.exp()) - log_p

def make_net(num_classes, in_channels):
    convolved = nn.Sequential(nn.Conv2d(in_channels, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    return nn.Sequential(convolved, nn.Linear(32, num_classes))

class MyData(torch.utils.data.Dataset):
    def __init__(self):
        self.images, self.labels = load_digits(return_X_y=True)

    def __len__(self):
        return 120

    def __getitem__(self, i):
        return torch.tensor(self.images[i]).reshape(1, 8, 8).float() / 16, int(self.labels[i])
"""
"""What the pages say of the reader's `mymodule.py`."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(10800)]


def call(command: str, folder: Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    began = time.monotonic()
    done = subprocess.run(
        ["bash", "-ec", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    print(f"{time.monotonic() - began:7.1f} s  exit code {done.returncode}  {command[:150]}", flush=True)
    return done


def plain_environment() -> dict[str, str]:
    """Without what could lead back to this checkout."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}


def fresh(folder: Path) -> Path:
    """An empty environment that sees the packages of this one, so that nothing is downloaded."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    # Python 3.11 puts a setuptools of its own there, older than the one that builds the project.
    subprocess.run([str(python), "-m", "pip", "uninstall", "-q", "-y", "setuptools"], check=True)
    site = next((folder / "lib").glob("python*/site-packages"))
    here = subprocess.run(
        [sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (site / "packages.pth").write_text(here)
    return python


def commands() -> list[str]:
    """Those of the README and of every page, a loop as one, each once: a page may begin with one of the README's."""
    texts = [(ROOT / page).read_text(encoding="utf-8") for page in PAGES]
    blocks = [block for text in texts for block in re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]
    lines = [re.sub(r" +#.*", "", block.replace("\\\n", " ")) for block in blocks]
    found = [command for block in lines for command in re.findall(r"(?ms)^for .*?^done$|^[^\n]+$", block)]
    return list(dict.fromkeys(found))


def files_of_the_reader(folder: Path) -> None:
    """Data, features and module that the pages' commands name and everybody brings."""
    pixels, labels = load_digits(return_X_y=True)
    pixels = (16 * pixels[:150].reshape(-1, 8, 8)).clip(0, 255).astype(np.uint8)
    for i, (image, label) in enumerate(zip(pixels, labels, strict=False)):
        place = folder / "pictures" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).resize((16 + i % 5, 20)).save(place / f"{i}.png")
    enlarged = np.kron(pixels, np.ones((2, 2), np.uint8))  # 16 x 16, a patch of the page's transformer
    np.savez(folder / "images.npz", images=enlarged, labels=labels[:150])
    (folder / "mymodule.py").write_text(MY_MODULE)
    generator = torch.Generator().manual_seed(0)
    W, b, classes = torch.randn(4, 6, generator=generator), torch.zeros(4), torch.arange(80) % 4
    for name in ("features.npz", "epoch-1.npz", "epoch-2.npz"):
        features = W[classes] + 0.1 * torch.randn(80, 6, generator=generator)
        last_layer = {"W": W, "b": b} if name == "features.npz" else {}
        np.savez(folder / name, features=features, labels=classes, **last_layer)
    np.savez(folder / "fc.npz", W=W, b=b)
    for name in ("train.pt", "test.pt"):
        torch.save({"features": features, "labels": classes, "W": W, "b": b}, folder / name)
    save_file({"features": torch.randn(20, 6, generator=generator)}, folder / "other.safetensors")


@pytest.mark.timeout(6 * 3600)
def test_the_commands_of_all_pages_in_their_order(tmp_path):
    subprocess.run(["git", "clone", "-q", str(ROOT), str(tmp_path / "clone")], check=True)
    clone = tmp_path / "clone"
    files_of_the_reader(clone)
    python = fresh(clone / ".venv")
    failed = []
    for command in commands():
        if reason := next((why for form, why in LEFT_OUT.items() if re.search(form, command)), None):
            print(f"   left out ({reason}): {command[:150]}")
            continue
        words = command.replace("pip install -q -e .", "pip install -q --no-deps --no-build-isolation -e .")
        words = words.replace("python3 -m venv .venv && ", "")
        words = words.replace("torchrun", f"{python} -m torch.distributed.run", 1)
        done = call(re.sub(r"(?m)^( *)python ", rf"\1{python} ", words), clone, plain_environment())
        if done.returncode not in ((0, 1) if re.search(FINDINGS, command) else (0,)):
            failed.append((command, done.stdout[-500:] + done.stderr[-2000:]))
    assert failed == []
    assert list(clone.glob("results/*/record.json"))
    assert list(clone.glob("results/*/*.png"))


def test_the_wheel_needs_no_checkout(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run(["git", "clone", "-q", str(ROOT), str(tmp_path / "source")], check=True)
    subprocess.run([*build, str(tmp_path / "source")], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    python = fresh(tmp_path / "venv")
    subprocess.run(
        [str(python), "-m", "pip", "install", "-q", "--no-deps", "--force-reinstall", str(wheel)], check=True
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    asked = (
        "ufm --version",
        "ufm verify --starts 100 --saddle-starts 64 --out v",
        "ufm scan --grid.decay 1e-3:1:5:log --starts 8 --out s",
        "ufm atlas --classes 2 --dim 2 --starts 60 --out a",
        "ufm report-card --starts 50 --out r",
        "theory_checks --out t",
        "deepnet train --data digits --per-class 10 --width 0.25 --epochs 2 --batch-size 20 --out d",
        "deepnet compare --runs d --out c",
    )
    for words in asked:
        done = call(f"{python} -m {words}", empty, plain_environment())
        assert done.returncode == 0, done.stdout[-500:] + done.stderr[-2000:]
    for program in PROGRAMS:
        done = call(f"{python.parent / program} --version", empty, plain_environment())
        assert done.returncode == 0, done.stderr[-2000:]
    where = call(f"{python} -c 'import ufm; print(ufm.__file__)'", empty, plain_environment()).stdout
    assert where.startswith(str(tmp_path / "venv")), where
    assert {path.name for path in empty.iterdir()} == {"v", "s", "a", "r", "t", "d", "c"}
