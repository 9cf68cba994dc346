"""`python -m ufm COMMAND`: the laboratory of the unconstrained feature model."""

import sys
from os.path import dirname

sys.path.insert(0, dirname(dirname(__file__)))  # this project's `ufm`, whatever lies in the current folder
from ufm import start

del sys.path[0]
start.begin(__name__, "python -m ufm")

from ufm.atlas.setting import AtlasCompareSetting, AtlasScanSetting, AtlasSetting
from ufm.cli.command import Command, job
from ufm.cli.command_line import main
from ufm.reports.focal_window_setting import FocalWindowSetting
from ufm.reports.report_card_setting import ReportCardSetting
from ufm.reports.softmax_codes_setting import SoftmaxCodesSetting
from ufm.scan.setting import ScanSetting
from ufm.verify.setting import VerifySetting

COMMANDS = {
    "verify": Command(VerifySetting, job("ufm.verify.job:Verify")),
    "atlas": Command(AtlasSetting, job("ufm.atlas.job:GrowAtlas")),
    "atlas-compare": Command(AtlasCompareSetting, job("ufm.atlas.comparison_job:CompareAtlases")),
    "atlas-scan": Command(AtlasScanSetting, job("ufm.atlas.scan:ScanAtlases")),
    "focal-window": Command(FocalWindowSetting, job("ufm.reports.focal_window_job:FindFocalWindow")),
    "softmax-codes": Command(SoftmaxCodesSetting, job("ufm.reports.softmax_codes_job:SoftmaxCodes")),
    "scan": Command(ScanSetting, job("ufm.scan.job:RunScan")),
    "report-card": Command(ReportCardSetting, job("ufm.reports.report_card_job:MakeReportCard")),
}


def program(prog: str = "python -m ufm") -> int:
    """The exit code of what the command line asks for."""
    return main(prog, "The laboratory of the unconstrained feature model.", COMMANDS)


if __name__ == "__main__":
    sys.exit(program())
