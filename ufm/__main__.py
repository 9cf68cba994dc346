"""`python -m ufm COMMAND`: the laboratory of the unconstrained feature model."""

import sys
from os.path import dirname

sys.path.insert(0, dirname(dirname(__file__)))  # this project's `ufm`, whatever lies in the current folder
from ufm import start

del sys.path[0]
start.begin(__name__, "python -m ufm")

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ufm.atlas.setting import AtlasCompareSetting, AtlasScanSetting, AtlasSetting
from ufm.cli.command import Command
from ufm.cli.command_line import main
from ufm.errors import RequestError
from ufm.reports.focal_window_setting import FocalWindowSetting
from ufm.reports.report_card_setting import ReportCardSetting
from ufm.reports.softmax_codes_setting import SoftmaxCodesSetting
from ufm.scan.setting import ScanSetting
from ufm.verify.setting import VerifySetting

if TYPE_CHECKING:
    from ufm.scan.scan import Scan


def run_verify(setting: VerifySetting) -> int:
    """The main job, a loss at a time, recorded after each; then the table and the picture."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    from figures import verification
    from ufm.cli.output_folder import output_folder
    from ufm.cli.records import check_new_file, read_record, write_and_show, write_record
    from ufm.verify import report as verify_report
    from ufm.verify.verify import Verdict, verify

    check_new_file(setting.json, "--json")
    progress = Progress("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), transient=True)
    pending = verify(setting, progress)
    verdicts: list[Verdict] = []
    with output_folder(setting.out, "verify") as folder:
        record = setting.json or folder / "record.json"
        try:
            with progress:
                for verdict in pending:
                    verdicts.append(verdict)
                    write_record(record, setting.as_dict(), verify_report.as_result(verdicts, is_complete=False))
        except BaseException:  # Ctrl-C, a full disk
            if verdicts:
                verify_report.show(setting, verdicts)
            if record.exists():
                print(f"record of the losses that are finished: {record}")
            raise
        result = verify_report.as_result(verdicts, is_complete=True)
        write_and_show(record, setting.as_dict(), result, partial(verify_report.show, setting, verdicts))
        picture = verification.draw(read_record(record), folder / "verification.png")
        print(f"record: {record}\npicture: {picture}")
    return 0 if all(verdict.holds for verdict in verdicts) else 1


def run_atlas(setting: AtlasSetting) -> int:
    """Grow the atlas round by round, saved after each; then the certificates, the table, the picture."""
    from figures import landscape
    from ufm.atlas import report as atlas_report
    from ufm.atlas.folder import AtlasFolder, asked
    from ufm.cli.output_folder import output_folder
    from ufm.cli.records import read_record

    setting, empty = asked(setting)
    with output_folder(setting.out, "atlas", continues="record.json") as path:
        folder = AtlasFolder.opened(setting, empty, path)
        try:
            folder.grow()
        except (KeyboardInterrupt, OSError):
            if folder.record.exists():
                print(f"atlas so far, which `--out {path}` extends: {folder.record}")
            raise
        if not folder.atlas.rows:
            print(f"no start reached a critical point: {folder.atlas.statuses}\nrecord: {folder.record}")
            return 1
        result = folder.finish()
        atlas_report.show(setting, folder.atlas, result)
        if "units" in result:
            units = ", ".join(f"{name} {value}" for name, value in result["units"].items())
            print(f"values, points and eigenvalues are in the model's own units (ufm/solve/units.py): {units}")
        picture = landscape.draw(read_record(folder.record), path / "landscape.png")
        print(f"record: {folder.record}\npicture: {picture}")
    return 0 if all(result["claims"].values()) else 1


def run_atlas_compare(setting: AtlasCompareSetting) -> int:
    """Rows side by side, and the verdicts."""
    import dataclasses

    from ufm.atlas.comparison_report import comparisons, read_atlases, show_comparison
    from ufm.cli.output_folder import output_folder
    from ufm.cli.records import check_new_file, write_and_show

    check_new_file(setting.json, "--json")
    records = read_atlases(setting.atlases)
    with output_folder(setting.out, "atlas-compare") as folder:
        found = comparisons(records)
        entries = [dataclasses.asdict(entry) | {"is_isomorphic": entry.is_isomorphic} for entry in found]
        path, show = setting.json or folder / "record.json", partial(show_comparison, setting.atlases, records, found)
        print(f"record: {write_and_show(path, setting.as_dict(), {'comparisons': entries}, show)}")
    return 0 if all(entry.is_isomorphic for entry in found) else 1


def run_atlas_scan(setting: AtlasScanSetting) -> int:
    """Atlas after atlas, saved after each, then the classes."""
    from ufm.atlas.comparison_report import loss_text, show_scan
    from ufm.atlas.scan import atlas_entry, cases, is_same_case, lettered
    from ufm.cli.output_folder import output_folder
    from ufm.cli.records import check_new_file, earlier_result, write_record

    check_new_file(setting.json, "--json")
    asked = list(cases(setting))
    with output_folder(setting.out, "atlas-scan", continues="record.json") as folder:
        earlier = earlier_result(folder, setting.as_dict())
        entries = earlier["entries"] if earlier else []
        record = folder / "record.json"
        for number, case in enumerate(asked, 1):
            if not any(is_same_case(entry, case) for entry in entries):
                entries.append(atlas_entry(setting, *case))
                classes = lettered(entries)
                write_record(record, setting.as_dict(), {"entries": entries, "classes": classes})
            done = next(entry for entry in entries if is_same_case(entry, case))
            text = f"{loss_text(case[0])}, c {case[1]:g}, bias decay {case[2]}"
            print(f"{number}/{len(asked)} {text}: {len(done['rows'])} orbits, {done['seconds']:.1f} s", flush=True)
        classes = lettered(entries)
        if setting.json is not None:
            write_record(setting.json, setting.as_dict(), {"entries": entries, "classes": classes})
        show_scan(entries, classes)
        print(f"record: {record}")
        return 0 if all(entry["morse_holds"] or entry["is_degenerate"] for entry in entries) else 1


def run_focal_window(setting: FocalWindowSetting) -> int:
    """Thresholds, states, proofs, picture."""
    from figures import focal_window
    from ufm.cli.output_folder import output_folder
    from ufm.cli.records import check_new_file, read_record, write_and_show
    from ufm.reports.focal_window_report import measure, show

    check_new_file(setting.json, "--json")
    with output_folder(setting.out, "focal-window") as folder:
        result = measure(setting)
        path, show_it = setting.json or folder / "record.json", partial(show, setting, result)
        record = write_and_show(path, setting.as_dict(), result, show_it)
        print(f"record: {record}")
        if result["curves"]:
            print(f"picture: {focal_window.draw(read_record(record), folder / 'focal_window.png')}")
    return 0


def run_scan(setting: ScanSetting) -> int:
    """Compute what the folder lacks, then the table, the record and the picture."""
    from ufm.cli.output_folder import claimed, output_folder
    from ufm.cli.records import check_new_file
    from ufm.engine.map_units import check_reachable
    from ufm.scan import shards
    from ufm.scan.scan import Scan

    check_new_file(setting.json, "--json")
    if setting.resume is not None:
        setting = shards.resumed_setting(setting)
    scan = Scan(setting)  # refused here, before a folder is made or a grid added
    check_reachable(setting.engine)
    with claimed(setting.resume, "--resume") if setting.resume else output_folder(setting.out, "scan") as folder:
        return _scan(scan, folder)


def _scan(scan: "Scan", folder: Path) -> int:
    """What the folder lacks of the scan, with the lock on the folder held."""
    import time

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

    from figures import phase_diagram
    from ufm.cli.output_folder import given_back_if_refused
    from ufm.cli.records import read_record, write_and_show
    from ufm.scan import report as scan_report
    from ufm.scan import shards
    from ufm.scan.scan import Scan

    setting = scan.setting
    shards.write_setting(folder, setting)
    if len(grids := shards.asked_grids(folder)) > 1:
        scan = Scan(setting, grids)
    print(f"{scan}, in {folder}", flush=True)
    if scan.without_simplex:
        print(f"warning: {scan.without_simplex}", file=sys.stderr)
    began = time.perf_counter()
    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    is_new = setting.resume is None
    try:
        with (
            given_back_if_refused(folder, is_new, f"{shards.SHARDS}/*"),
            Progress("{task.description}", *columns, transient=True) as progress,
        ):
            failures = scan.fill(folder, progress)
    except RequestError:
        raise  # going on would end in the same
    except BaseException:
        if (folder / shards.SETTING).exists():
            words = f"--resume {folder}{shards.loss_again(setting)}"
            print(f"\nstopped; go on with: python -m ufm scan {words}", file=sys.stderr)
        raise
    rows = scan.rows(folder)
    result = scan_report.as_result(scan, rows, failures, shards.commits(folder))
    result["seconds"] = time.perf_counter() - began
    path, show = setting.json or folder / "record.json", partial(scan_report.show, scan, rows, failures)
    record = write_and_show(path, setting.as_dict(), result, show)
    picture = phase_diagram.draw(read_record(record), folder / "phase_diagram.png") if any(rows) else "none to draw"
    print(f"rows: {folder / shards.SHARDS}\nrecord: {record}\npicture: {picture}")
    return 3 if failures else 0


def run_report_card(setting: ReportCardSetting) -> int:
    """The card as record, tables and picture."""
    from figures import report_card as figure
    from ufm.cli.output_folder import output_folder
    from ufm.cli.records import check_new_file, read_record, write_and_show
    from ufm.reports import report_card_report
    from ufm.reports.report_card import asked, report_card

    check_new_file(setting.json, "--json")
    asked(setting)  # refused here, before a folder is made
    with output_folder(setting.out, "report-card") as folder:
        card = report_card(setting)
        result, show = report_card_report.as_result(card), partial(report_card_report.show, card)
        record = write_and_show(setting.json or folder / "record.json", setting.as_dict(), result, show)
        picture = figure.draw(read_record(record), folder / "report_card.png")
        print(f"record: {record}\npicture: {picture}")
    return 0


def run_softmax_codes(setting: SoftmaxCodesSetting) -> int:
    """Code after code, saved after each, then the table and the picture."""
    from figures import softmax_codes as figure
    from ufm.cli.output_folder import output_folder
    from ufm.cli.records import check_new_file, earlier_result, read_record, write_record
    from ufm.reports import softmax_codes_report

    check_new_file(setting.json, "--json")
    with output_folder(setting.out, "softmax-codes", continues="record.json") as folder:
        earlier = earlier_result(folder, setting.as_dict())
        rows = earlier["rows"] if earlier else []
        record = folder / "record.json"
        for K in sorted({*setting.classes} - {row["K"] for row in rows}):
            rows = sorted([*rows, softmax_codes_report.row(setting, K)], key=lambda row: row["K"])
            write_record(record, setting.as_dict(), {"rows": rows})
            print(f"K = {K}: margin {next(row['margin'] for row in rows if row['K'] == K):.10f}", flush=True)
        if setting.json is not None:
            write_record(setting.json, setting.as_dict(), {"rows": rows})
        softmax_codes_report.show(setting, rows)
        picture = figure.draw(read_record(record), folder / "softmax_codes.png")
        print(f"record: {record}\npicture: {picture}")
    return 0


COMMANDS = {
    "verify": Command(VerifySetting, run_verify),
    "atlas": Command(AtlasSetting, run_atlas),
    "atlas-compare": Command(AtlasCompareSetting, run_atlas_compare),
    "atlas-scan": Command(AtlasScanSetting, run_atlas_scan),
    "focal-window": Command(FocalWindowSetting, run_focal_window),
    "softmax-codes": Command(SoftmaxCodesSetting, run_softmax_codes),
    "scan": Command(ScanSetting, run_scan),
    "report-card": Command(ReportCardSetting, run_report_card),
}


def program(prog: str = "python -m ufm") -> int:
    """The exit code of what the command line asks for."""
    return main(prog, "The laboratory of the unconstrained feature model.", COMMANDS)


if __name__ == "__main__":
    sys.exit(program())
