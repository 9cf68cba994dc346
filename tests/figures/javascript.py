"""Functions of the page's scripts, run by Node, or by the browser where there is none."""

import json
import shutil
import subprocess
from importlib import resources
from typing import Any

from tests.figures.browser import chromium


def call(scripts: tuple[str, ...], function: str, argument: Any) -> Any:
    """What a function, written in JavaScript, makes of the argument; both are JSON (no number is NaN)."""
    folder = resources.files("figures.report") / "assets"
    source = "\n".join((folder / f"{name}.js").read_text(encoding="utf-8") for name in scripts)
    node = shutil.which("node")
    if node is None:
        with chromium() as browser:
            page = browser.new_page()
            page.add_script_tag(content=source)
            return page.evaluate(function, argument)
    body = f"{source}\nconst given = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
    body += f"\nprocess.stdout.write(JSON.stringify(({function})(given)));"
    done = subprocess.run([node, "-e", body], input=json.dumps(argument), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)
