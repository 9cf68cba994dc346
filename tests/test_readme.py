"""The README's Python blocks, executed in order in one namespace."""

import re
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_examples_run():
    namespace: dict = {}
    blocks = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        exec(block, namespace)
    assert namespace["W"].shape == (200, 5, 8)
