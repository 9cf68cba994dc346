"""Whatever takes a device takes one that refuses to mix; in a process of its own, where torch knows such a device."""

import os
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def accelerator_tests(*options):
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-q", "tests/test_accelerator.py", *options],
        cwd=HERE,
        env=os.environ | {"FAKE_CARD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_what_takes_a_device_mixes_none():
    done = accelerator_tests()
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_commands_mix_no_devices():
    done = accelerator_tests("-m", "slow")
    assert done.returncode == 0, done.stdout[-3000:]


def test_a_fake_card_refuses_what_a_card_refuses():
    code = (
        "import torch; from tests.fake_card import a_fake_card\n"
        "with a_fake_card():\n"
        "    here, there = torch.ones(2), torch.ones(2, device='card')\n"
        "    assert there.device.type == 'card' and (2 * there + torch.tensor(1.0)).tolist() == [3, 3]\n"
        "    for wrong in (lambda: here + there, lambda: there.numpy(), lambda: torch.stack([here, there])):\n"
        "        try: wrong()\n"
        "        except (RuntimeError, TypeError): continue\n"
        "        raise SystemExit(1)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=HERE, check=True)
