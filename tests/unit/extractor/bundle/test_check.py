"""The check: what it finds, what it stops, and that the message names the option that decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.bundles import hostile
from sandbox.bundles.writer import Dialect, csv_bytes
from services.common.errors import ConfigurationError
from services.extractor.connector import START, EntityMalformedError
from services.extractor.connectors.bundle.profile import Check, Finding, Severity
from tests.fixtures.bundle.toy import EVERYTHING, Frozen, bundle, pages, records, toy

JOBS = "Job ID,Customer ID,Helpers,Title,Starts,Zone,Price,Done,Clock,Count\n"


async def check(folder: Path, options: Any = None, **tables: str | bytes) -> Check:
    async with toy(bundle(folder, **tables), **(options or {})) as source:
        return await source.findings()


async def found(folder: Path, code: str, options: Any = None, **tables: str | bytes) -> Finding:
    one = [finding for finding in (await check(folder, options, **tables)).findings if finding.code == code]
    assert len(one) == 1, [finding.code for finding in one]
    return one[0]


async def test_missing_tables_and_columns(tmp_path: Path) -> None:
    whole = await check(tmp_path, customers="Customer ID,Rating\n1,5\n", strange="A,B\n1,2\n")
    by_code = {finding.code: finding for finding in whole.findings if finding.entity in {"", "customer"}}
    assert by_code["column_missing"].severity is Severity.STOP
    assert "Name" in whole.tables["customer"].stop
    assert by_code["columns_absent"].samples == ["Date Joined", "Status", "VIP", "Date Edited"]
    assert by_code["table_unknown"].path == "strange.csv"
    assert {finding.entity for finding in whole.findings if finding.code == "table_missing"} == {"job", "job_note", "attachment"}


async def test_a_table_without_its_id_is_stopped_unless_a_person_says_otherwise(tmp_path: Path) -> None:
    tables = {"jobs": "Title,Price\nA,1\nB,2\nA,1\n"}
    finding = await found(tmp_path, "id_column_missing", **tables)
    assert (finding.severity, finding.option) == (Severity.STOP, "row_ids")
    async with toy(tmp_path, row_ids=["job"]) as source:
        ids = [record.source_id for record in await records(source, "job")]
    assert len(set(ids)) == 3
    assert ids[2] == f"{ids[0]}~2"  # the same row again, and still a record of its own


@pytest.mark.requirement("X-04")
async def test_repeated_and_missing_ids_lose_no_row(tmp_path: Path) -> None:
    tables = {"customers": "Customer ID,Name\n1,Ann\n2,Bob\n1,Ann again\n,Nobody\n1,Third\n"}
    finding = await found(tmp_path, "id_repeated", **tables)
    assert (finding.severity, finding.count, finding.samples) == (Severity.WARNING, 2, ["1: rows 2 and 4", "1: rows 2 and 6"])
    assert (await found(tmp_path, "id_missing", **tables)).samples == ["row 5"]
    async with toy(tmp_path, page_rows=2) as source:
        read = await pages(source, "customer")
        ids = [record.source_id for page in read for record in page.records]
        assert ids[:3] + ids[4:] == ["1", "2", "1~2", "1~3"]
        assert ids[3].startswith("row-")
        for number, page in enumerate(read):
            assert await pages(source, "customer", page.cursor) == read[number:]
    refused = await found(tmp_path, "id_repeated", {"duplicate_ids": "refuse"}, **tables)
    assert refused.severity is Severity.STOP


async def test_broken_references(tmp_path: Path) -> None:
    tables = {"customers": "Customer ID,Name\n1,Ann\n2,Bob\n", "jobs": "Job ID,Customer ID,Helpers\n5,1,2; 7\n6,9,\n7,9,1;1\n"}
    broken = {finding.column: finding for finding in (await check(tmp_path, **tables)).findings if finding.code == "reference_broken"}
    assert (broken["Customer ID"].count, broken["Customer ID"].samples) == (2, ["row 3"])
    assert (broken["Helpers"].count, broken["Helpers"].samples) == (1, ["row 2"])


@pytest.mark.requirement("L-01", "L-07")
async def test_ambiguous_dates_are_asked_and_never_guessed(tmp_path: Path) -> None:
    tables = {"customers": "Customer ID,Name,Date Joined\n1,Ann,02/03/2004\n2,Bob,05/06/2024\n"}
    finding = await found(tmp_path, "date_order_ambiguous", **tables)
    assert (finding.severity, finding.column, finding.option, finding.count) == (Severity.STOP, "Date Joined", "date_order", 2)
    assert finding.samples == ["row 2: 02/03/2004", "row 3: 05/06/2024"]
    async with toy(tmp_path) as source:
        with pytest.raises(EntityMalformedError, match="date_order") as caught:
            await records(source, "customer")
        assert "row 2: 02/03/2004" in caught.value.message
    for option in ({"date_order": "dmy"}, {"date_orders": {"customer.joined": "dmy"}}, {"layout": {"formats": {"date_order": "dmy"}}}):
        async with toy(tmp_path, **option) as source:
            assert [record.data["joined"] for record in await records(source, "customer")] == ["2004-03-02", "2024-06-05"]
    (tmp_path / "manifest.json").write_text('{"date_format": "M/d/yyyy h:mm:ss tt"}')
    async with toy(tmp_path) as source:
        assert [record.data["joined"] for record in await records(source, "customer")] == ["2004-02-03", "2024-05-06"]


async def test_two_digit_years_are_asked(tmp_path: Path) -> None:
    tables = {"customers": "Customer ID,Name,Date Joined\n1,Ann,02/03/04\n2,Bob,25/12/99\n"}
    codes = {finding.code: finding.option for finding in (await check(tmp_path, **tables)).findings if finding.severity is Severity.STOP}
    assert codes == {"date_short_year": "two_digit_years"}
    async with toy(tmp_path, two_digit_years=1970) as source:
        assert [record.data["joined"] for record in await records(source, "customer")] == ["2004-03-02", "1999-12-25"]
    both = {finding.code for finding in (await check(tmp_path, customers="Customer ID,Name,Date Joined\n1,Ann,02/03/04\n")).findings}
    assert {"date_short_year", "date_order_ambiguous"} <= both


async def test_mixed_orders_stop_the_table_with_the_evidence(tmp_path: Path) -> None:
    finding = await found(tmp_path, "date_order_mixed", customers="Customer ID,Name,Date Joined\n1,A,14/03/2025\n2,B,03/14/2025\n3,C,1/2/2025\n")
    assert finding.severity is Severity.STOP
    assert finding.samples == ["row 2: 14/03/2025", "row 3: 03/14/2025"]
    async with toy(tmp_path, date_orders={"customer.joined": "dmy"}) as source:
        # What cannot be read in that order stays as it is written.
        assert [record.data["joined"] for record in await records(source, "customer")] == ["2025-03-14", "03/14/2025", "2025-02-01"]


async def test_a_manifest_that_the_dates_contradict_is_not_believed(tmp_path: Path) -> None:
    bundle(tmp_path, customers="Customer ID,Name,Date Joined\n1,A,14/03/2025\n")
    (tmp_path / "manifest.json").write_text('{"date_format": "M/d/yyyy"}')
    assert (await found(tmp_path, "date_order_contradicted", customers="Customer ID,Name,Date Joined\n1,A,14/03/2025\n")).severity is Severity.STOP


async def test_times_without_a_zone_stop_the_bundle_until_it_is_said(tmp_path: Path) -> None:
    tables = {"customers": "Customer ID,Name,Date Edited\n1,A,2025-03-14 10:00\n", "jobs": JOBS + "1,1,,T,2025-03-14 10:00,Europe/Madrid,,,,\n"}
    whole = await check(tmp_path, **tables)
    assert "customer.Date Edited" in whole.bundle.stop
    assert "job.Starts" not in whole.bundle.stop  # its rows have zones of their own
    async with toy(tmp_path) as source:
        with pytest.raises(ConfigurationError, match="time_zone"):
            await records(source, "job")
    async with toy(tmp_path, time_zone="Europe/Lisbon") as source:
        assert (await records(source, "customer"))[0].data["edited_time"] == "2025-03-14T10:00:00+00:00"
        assert (await records(source, "job"))[0].data["starts"] == "2025-03-14T10:00:00+01:00"
    (tmp_path / "layout.yaml").write_text("formats: {time_zone: America/New_York}")
    async with toy(tmp_path) as source:
        assert (await records(source, "customer"))[0].data["edited_time"] == "2025-03-14T10:00:00-04:00"


async def test_a_bundle_that_stops_can_be_mended_and_read_on(tmp_path: Path) -> None:
    bundle(tmp_path, customers="Customer ID,Name,Date Edited\n1,A,2025-03-14 10:00\n")
    frozen = Frozen()
    async with toy(tmp_path, frozen) as source:
        reading = source.read("bundle_finding", START, EVERYTHING)
        page = await anext(reading)
        frozen.freeze("bundle_finding", page)
        with pytest.raises(ConfigurationError, match="time_zone"):
            await anext(reading)
    (tmp_path / "layout.yaml").write_text("formats: {time_zone: America/New_York}")
    async with toy(tmp_path, frozen) as source:
        for later in await pages(source, "bundle_finding", page.next_cursor):
            frozen.freeze("bundle_finding", later)
        assert len(await records(source, "customer")) == 1
    stops = {
        one["id"] for _, _, page in frozen.pages[-1:] for one in page.envelopes if one["data"].get("severity") == "stop" and not one["is_deleted"]
    }
    assert stops == set()


async def test_rows_wider_than_the_heads_stop_the_table(tmp_path: Path) -> None:
    tables = {"customers": "Customer ID,Name\n1,Ann\n2,Bob,Baker\n3,Cid,,\n"}
    finding = await found(tmp_path, "rows_wide", **tables)
    assert (finding.severity, finding.samples, finding.option) == (Severity.STOP, ["row 3: 3 cells for 2 heads"], "wide_rows")
    async with toy(tmp_path, wide_rows="keep") as source:
        data = [record.data for record in await records(source, "customer")]
    assert data[1]["other_columns"] == {"cells beyond the heads": "Baker"}
    assert "other_columns" not in data[2]


async def test_broken_quotation_marks_stop_the_table_with_the_row(tmp_path: Path) -> None:
    tables = {"customers": 'Customer ID,Name\n1,"Ann"\n2,"Bob "the" Baker"\n3,Cid\n'}
    finding = await found(tmp_path, "table_broken", **tables)
    assert (finding.severity, finding.option) == (Severity.STOP, "quotes")
    assert "after row 2" in finding.message
    unclosed = await found(tmp_path, "table_broken", customers='Customer ID,Name\n1,"Ann\n2,Bob\n')
    assert "after row 1" in unclosed.message
    plain = await check(tmp_path, {"quotes": "none"}, **tables)
    assert plain.tables["customer"].stop == ""


async def test_numbers_that_could_be_two_are_asked(tmp_path: Path) -> None:
    finding = await found(tmp_path, "decimal_ambiguous", jobs=JOBS + '1,1,,T,,,"1,234",,,\n')
    assert (finding.severity, finding.option) == (Severity.STOP, "decimal")
    mixed = await found(tmp_path, "decimal_mixed", jobs=JOBS + '1,1,,T,,,"1,234.50",,,\n2,1,,T,,,"1.234,50",,,\n')
    assert mixed.severity is Severity.STOP
    by_table = await check(tmp_path, jobs=JOBS + '1,1,,T,,,"1,234",12.5,,\n')
    assert by_table.tables["job"].stop == ""
    percent = await found(tmp_path, "percent_ambiguous", jobs=JOBS + "1,1,,T,,,,0.5,,\n2,1,,T,,,,60,,\n")
    assert percent.option == "percent"


async def test_values_that_are_none_are_counted_and_stay(tmp_path: Path) -> None:
    tables = {"customers": "Customer ID,Name,Rating,Date Joined\n1,A,high,soon\n2,B,4,2025-01-02\n"}
    codes = {finding.code: finding.count for finding in (await check(tmp_path, **tables)).findings if finding.entity == "customer"}
    assert (codes["number_unreadable"], codes["date_unreadable"]) == (1, 1)
    async with toy(tmp_path) as source:
        data = (await records(source, "customer"))[0].data
    assert (data["rating"], data["joined"]) == ("high", "soon")


@pytest.mark.requirement("G-08", "X-08")
async def test_ninety_columns_with_repeated_heads(tmp_path: Path) -> None:
    heads = ["Customer ID", "Name", *(f"Field {number % 40}" for number in range(87)), "NAME"]
    row = ["1", "Ann", *(str(number) for number in range(87)), "Second name"]
    finding = await found(tmp_path, "heads_repeated", customers=csv_bytes([heads, row]))
    assert finding.count == 41
    async with toy(tmp_path) as source:
        data = (await records(source, "customer"))[0].data
    assert data["name"] == "Ann"
    others = data["other_columns"]
    assert len(others) == 88
    assert (others["Field 0"], others["Field 0 (2)"], others["Field 0 (3)"], others["NAME"]) == ("0", "40", "80", "Second name")


async def test_rows_are_compared_with_the_manifest(tmp_path: Path) -> None:
    bundle(tmp_path)
    (tmp_path / "manifest.json").write_text('{"files": [{"name": "customers.csv", "rows": 7}]}')
    assert (await found(tmp_path, "row_count_differs")).count == 6


@pytest.mark.parametrize(
    ("table", "encoding", "guessed"),
    [
        ("Name mit Ümlaut", "utf-8-sig", False),
        ("Name mit Ümlaut", "utf-8", False),
        ("Name mit Ümlaut", "utf-16", False),
        ("Name mit Ümlaut", "utf-16-le", False),
        ("Muñoz, Ángel – “señor” €5", "cp1252", True),  # noqa: RUF001
        ("株式会社テスト、東京支店の作業指示書です。ポンプの修理をお願いします", "shift_jis", True),
        ("Общество с ограниченной ответственностью Водоканал, ремонт насоса", "cp1251", True),  # noqa: RUF001
    ],
)
@pytest.mark.requirement("X-08")
async def test_encodings(tmp_path: Path, table: str, encoding: str, guessed: bool) -> None:
    content = csv_bytes([["Customer ID", "Name"], *([str(number), table] for number in range(5))], Dialect(encoding=encoding))
    whole = await check(tmp_path, customers=content)
    assert ("encoding_guessed" in {finding.code for finding in whole.findings}) is guessed
    async with toy(tmp_path) as source:
        assert {record.data["name"] for record in await records(source, "customer")} == {table}


async def test_bytes_of_another_encoding_are_kept_and_told(tmp_path: Path) -> None:
    content = "Customer ID,Name\n1,Ñandú\n2,Søn\n3,".encode() + "Muñoz\n".encode("cp1252")
    finding = await found(tmp_path, "encoding_mixed", customers=content)
    assert finding.samples == ["line 4"]
    async with toy(tmp_path) as source:
        assert [record.data["name"] for record in await records(source, "customer")] == ["Ñandú", "Søn", "Muñoz"]


async def test_encoded_twice_is_told_and_not_touched(tmp_path: Path) -> None:
    twice = "José".encode().decode("cp1252")
    assert (await found(tmp_path, "encoded_twice", customers=f"Customer ID,Name\n1,{twice}\n")).count == 1
    async with toy(tmp_path) as source:
        assert (await records(source, "customer"))[0].data["name"] == twice


@pytest.mark.requirement("X-08")
async def test_nul_bytes_marks_and_line_ends(tmp_path: Path) -> None:
    one = csv_bytes([["Customer ID", "Name"], ["1", "Ann"], ["2", "Bob"]])
    other = csv_bytes([["Customer ID", "Name"], ["3", "Cid"], ["4", "شركة"], ["5", "Eve"]])
    content = hostile.with_mixed_line_ends(hostile.put_together([hostile.with_nul_bytes(one), other]))
    codes = {finding.code: finding.count for finding in (await check(tmp_path, customers=content)).findings if finding.path}
    assert codes["nul_bytes"] == 2
    assert codes["mark_in_text"] == 1
    assert "line_ends_mixed" in codes
    async with toy(tmp_path) as source:
        names = [record.data["name"] for record in await records(source, "customer")]
    assert names == ["Ann", "Bob", "Cid", "شركة", "Eve"]  # the heads in the middle are no record


async def test_a_cell_of_200_kilobytes_arrives_whole(tmp_path: Path) -> None:
    long = 'é, "x"\n' * 30_000
    async with toy(bundle(tmp_path, customers=csv_bytes([["Customer ID", "Name"], ["1", long], ["2", "Bob"]]))) as source:
        data = [record.data["name"] for record in await records(source, "customer")]
    assert data == [long.strip(), "Bob"]


async def test_formulas_stay_text(tmp_path: Path) -> None:
    finding = await found(tmp_path, "formulas", customers='Customer ID,Name\n1,"=HYPERLINK(""http://x"")"\n2,+61 412\n3,@SUM(A1)\n')
    assert (finding.severity, finding.samples) == (Severity.INFO, ["row 2", "row 4"])
    async with toy(tmp_path) as source:
        assert (await records(source, "customer"))[0].data["name"] == '=HYPERLINK("http://x")'


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
async def test_delimiters_are_found_by_the_heads(tmp_path: Path, delimiter: str) -> None:
    rows = [["Customer ID", "Name", "Status"], ["1", "a,b;c|d", "x"], ["2", "Bob", ""]]
    async with toy(bundle(tmp_path, customers=csv_bytes(rows, Dialect(delimiter=delimiter)))) as source:
        assert (await records(source, "customer"))[0].data == {"customer_id": "1", "name": "a,b;c|d", "status": "x"}


async def test_ids_rounded_by_a_spreadsheet_are_told(tmp_path: Path) -> None:
    assert (await found(tmp_path, "id_rounded", customers="Customer ID,Name\n1.23E+11,Ann\n")).samples == ["row 2"]


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=400))
async def test_any_bytes_end_in_findings_or_records_never_in_a_crash(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    async with toy(bundle(folder, customers=b"Customer ID,Name\n" + content)) as source:
        whole = await source.findings()
        if not whole.tables["customer"].stop and not whole.bundle.stop:
            assert len(await records(source, "customer")) == whole.tables["customer"].row_count
