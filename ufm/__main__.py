"""`python -m ufm COMMAND`: the laboratory of the unconstrained feature model."""

import sys

from ufm.command_line import Command, main
from ufm.settings import ReportCardSetting, ScanSetting, VerifySetting


def run_verify(setting: VerifySetting) -> int:
    """The main job: verdicts as they come, then the table, the record and the picture."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    from figures import verification
    from ufm import verify_report
    from ufm.records import check_new_file, new_folder, read_record, write_record
    from ufm.verify import verify

    check_new_file(setting.json, "--json")
    progress = Progress("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), transient=True)
    pending = verify(setting, progress)
    folder = new_folder(setting.out, "verify")
    try:
        with progress:
            verdicts = list(pending)
    except BaseException:
        if setting.out is None:
            folder.rmdir()  # still empty: leave nothing behind
        raise
    verify_report.show(setting, verdicts)
    record = write_record(setting.json or folder / "record.json", setting.as_dict(), verify_report.as_result(verdicts))
    picture = verification.draw(read_record(record), folder / "verification.png")
    print(f"record: {record}\npicture: {picture}")
    return 0 if all(verdict.holds for verdict in verdicts) else 1


def run_scan(setting: ScanSetting) -> int:
    """Compute what the folder lacks, then the table, the record and the picture."""
    import time

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

    from figures import phase_diagram
    from ufm import scan_report, shards
    from ufm.records import check_new_file, new_folder, read_record, write_record
    from ufm.scan import Scan

    check_new_file(setting.json, "--json")
    if setting.resume is not None:
        setting = shards.resumed_setting(setting)
    Scan(setting)  # refused here, before a folder is made or a grid added
    folder = setting.resume or new_folder(setting.out, "scan")
    shards.write_setting(folder, setting)
    scan = Scan(setting, shards.asked_grids(folder))
    print(f"{scan}, in {folder}", flush=True)
    began = time.perf_counter()
    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    try:
        with Progress("{task.description}", *columns, transient=True) as progress:
            failures = scan.fill(folder, progress)
    except BaseException:
        print(f"\nstopped; go on with: python -m ufm scan --resume {folder}", file=sys.stderr)
        raise
    rows = scan.rows(folder)
    scan_report.show(scan, rows, failures)
    result = scan_report.as_result(scan, rows, failures, shards.commits(folder))
    result["seconds"] = time.perf_counter() - began
    record = write_record(setting.json or folder / "record.json", setting.as_dict(), result)
    picture = phase_diagram.draw(read_record(record), folder / "phase_diagram.png")
    print(f"rows: {folder / shards.SHARDS}\nrecord: {record}\npicture: {picture}")
    return 3 if failures else 0


def run_report_card(setting: ReportCardSetting) -> int:
    """The card as tables, record and picture."""
    from figures import report_card as figure
    from ufm import report_card_report
    from ufm.records import check_new_file, new_folder, read_record, write_record
    from ufm.report_card import report_card

    check_new_file(setting.json, "--json")
    card = report_card(setting)
    folder = new_folder(setting.out, "report-card")
    report_card_report.show(card)
    record = write_record(setting.json or folder / "record.json", setting.as_dict(), report_card_report.as_result(card))
    picture = figure.draw(read_record(record), folder / "report_card.png")
    print(f"record: {record}\npicture: {picture}")
    return 0


COMMANDS = {
    "verify": Command(VerifySetting, run_verify),
    "scan": Command(ScanSetting, run_scan),
    "report-card": Command(ReportCardSetting, run_report_card),
}

if __name__ == "__main__":
    sys.exit(main("python -m ufm", "The laboratory of the unconstrained feature model.", COMMANDS))
