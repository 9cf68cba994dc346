"""Theorems about neural collapse, one file per claim: `check` holds it against evidence, `refuted` a false variant.

`from theory_checks import claims, check` lists them, and checks one by its name.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from theory_checks.listing import Claim as Claim
    from theory_checks.listing import Row as Row
    from theory_checks.listing import check as check
    from theory_checks.listing import claims as claims
    from theory_checks.verdict import Finding as Finding
    from theory_checks.verdict import Verdict as Verdict

HOMES = {
    "listing": ["Claim", "Row", "check", "claims"],
    "verdict": ["Finding", "Verdict"],
}
"""The public names by the module that defines each; a module is imported when one of its names is first used."""

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=HOMES)
