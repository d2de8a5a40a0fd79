"""Data dictionaries as the encoder reads them, and what the decoder takes for granted of the standard ones."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from oms.config.dictionaries import STANDARD_DIRECTORY
from oms.fix.dictionary import MESSAGES, MessageSpec, message_specs
from oms.fix.fields import LENGTH_OF, ONCE

STANDARD = [STANDARD_DIRECTORY / name for name in ("FIX42.xml", "FIX44.xml", "FIX50SP2.xml")]
SMALL = """<fix type="FIX" major="4" minor="4">
 <messages><message name="NewOrderSingle" msgtype="D" msgcat="app">
   <field name="ClOrdID" required="Y"/>
   <component name="Instrument" required="Y"/>
   <component name="Parties" required="N"/>
   <group name="NoAllocs" required="N"><field name="AllocAccount" required="Y"/><component name="Parties"/></group>
   <field name="Text" required="N"/>
 </message><message name="News" msgtype="B" msgcat="app"><field name="Text" required="Y"/></message></messages>
 <components>
   <component name="Instrument"><field name="Symbol" required="Y"/><field name="SymbolSfx" required="N"/></component>
   <component name="Parties"><group name="NoPartyIDs" required="N"><field name="PartyID" required="N"/>
     <group name="NoPartySubIDs" required="N"><field name="PartySubID" required="N"/></group></group></component>
 </components>
 <fields>
   <field number="11" name="ClOrdID"/><field number="55" name="Symbol"/><field number="65" name="SymbolSfx"/>
   <field number="78" name="NoAllocs"/><field number="79" name="AllocAccount"/><field number="58" name="Text"/>
   <field number="453" name="NoPartyIDs"/><field number="448" name="PartyID"/>
   <field number="802" name="NoPartySubIDs"/><field number="523" name="PartySubID"/>
 </fields></fix>"""


def test_a_spec_has_all_fields_the_required_ones_and_whose_members_they_are(tmp_path: Path) -> None:
    path = tmp_path / "SMALL.xml"
    path.write_text(SMALL)
    assert message_specs(path) == {
        "D": MessageSpec(
            frozenset({"11", "55", "65", "78", "79", "453", "448", "802", "523", "58"}),
            ("11", "55"),
            {
                "79": frozenset({"78"}),
                "448": frozenset({"453"}),
                "802": frozenset({"453"}),
                "523": frozenset({"802"}),
            },
            frozenset({"79", "448", "523"}),
        )
    }


@pytest.mark.parametrize("path", STANDARD, ids=lambda path: path.stem)
def test_the_standard_dictionaries_have_every_message_that_the_gateway_sends(path: Path) -> None:
    specs = message_specs(path)
    not_in_42 = {"q", "r", "AF"} if path.stem == "FIX42" else set()
    assert set(specs) == set(MESSAGES) - not_in_42
    assert {"37", "17", "150", "39", "55", "54", "151", "14", "6"} <= specs["8"].allowed
    assert {"11", "54", "40"} <= set(specs["D"].required)


@pytest.mark.parametrize("path", STANDARD, ids=lambda path: path.stem)
def test_no_field_that_the_gateway_acts_on_stands_in_a_repeating_group(path: Path) -> None:
    specs = message_specs(path)
    members = {tag for kind, spec in specs.items() for tag in spec.member_of if kind != "r"}  # read in its own way
    assert members & ONCE == set()


# Beyond 4.4's tags: user-defined numbers in the older versions. Not by the engine's rule (length = data - 1): 1527.
NOT_SPLIT_WITH_CARE = {"1527"}


@pytest.mark.parametrize("path", [*STANDARD, STANDARD_DIRECTORY / "FIXT11.xml"], ids=lambda path: path.stem)
def test_every_data_field_of_the_messages_we_read_is_split_by_its_length(path: Path) -> None:
    root = ElementTree.parse(path).getroot()
    types = {field.get("number", ""): field.get("type") for field in root.iterfind("fields/field")}
    specs = message_specs(path)
    used = {tag for spec in specs.values() for tag in spec.allowed} or set(types)
    data = {tag for tag in used if types[tag] == "DATA" and int(tag) < 5000 and str(int(tag) - 1) in used}
    if not specs:  # the transport dictionary: header and trailer
        data = {"91", "213"}
    assert data - set(LENGTH_OF) == NOT_SPLIT_WITH_CARE & data
    assert all(LENGTH_OF[tag] == str(int(tag) - 1) for tag in data & set(LENGTH_OF))
