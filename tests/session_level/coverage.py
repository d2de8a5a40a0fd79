"""Which of the published session-level situations are covered, as the table in docs/session_level.md.

The names are those of QuickFIX's acceptance tests for a server (its `test/definitions/server` for fix42, fix44 and
fix50sp2); what each asks is written anew in `situations/`. `python -m tests.session_level.coverage` writes the
page's table again; a test compares it.
"""

from __future__ import annotations

from pathlib import Path

from tests.session_level.situation import VERSIONS, Situation, read_all

PAGE = Path(__file__).resolve().parents[2] / "docs" / "session_level.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"
_NAMES = """
1a_ValidLogonMsgSeqNumTooHigh 1a_ValidLogonWithCorrectMsgSeqNum 1b_DuplicateIdentity 1c_InvalidSenderCompID
1c_InvalidTargetCompID 1d_InvalidLogonBadSendingTime 1d_InvalidLogonLengthInvalid 1d_InvalidLogonWrongBeginString
1e_NotLogonMessage 2a_MsgSeqNumCorrect 2b_MsgSeqNumTooHigh 2c_MsgSeqNumTooLow 2d_GarbledMessage
2e_PossDupAlreadyReceived 2e_PossDupNotReceived 2f_PossDupOrigSendingTimeTooHigh 2g_PossDupNoOrigSendingTime
2i_BeginStringValueUnexpected 2k_CompIDDoesNotMatchProfile 2m_BodyLengthValueNotCorrect 2o_SendingTimeValueOutOfRange
2q_MsgTypeNotValid 2r_UnregisteredMsgType 2t_FirstThreeFieldsOutOfOrder 3b_InvalidChecksum 3c_GarbledMessage
4a_NoDataSentDuringHeartBtInt 4b_ReceivedTestRequest 6_SendTestRequest 7_ReceiveRejectMessage
8_AdminAndApplicationMessages 8_OnlyAdminMessages 8_OnlyApplicationMessages 10_MsgSeqNumEqual 10_MsgSeqNumGreater
10_MsgSeqNumLess 11a_NewSeqNoGreater 11b_NewSeqNoEqual 11c_NewSeqNoLess 13b_UnsolicitedLogoutMessage 14a_BadField
14b_RequiredFieldMissing 14c_TagNotDefinedForMsgType 14d_TagSpecifiedWithoutValue 14e_IncorrectEnumValue
14f_IncorrectDataFormat 14g_HeaderBodyTrailerFieldsOutOfOrder 14h_RepeatedTag 14i_RepeatingGroupCountNotEqual
15_HeaderAndBodyFieldsOrderedDifferently 19a_PossResendMessageThatHAsAlreadyBeenSent
19b_PossResendMessageThatHasNotBeenSent 20_SimultaneousResendRequest 21_RepeatingGroupSpecifierWithValueOfZero
AlreadyLoggedOn RejectResentMessage ReverseRoute ReverseRouteWithEmptyRoutingTags
"""
IN_SOME = {"SessionReset": ("4.4", "5.0SP2"), "1d_InvalidLogonNoDefaultApplVerID": ("5.0SP2",)}
PUBLISHED: dict[str, tuple[str, ...]] = dict.fromkeys(_NAMES.split(), VERSIONS) | IN_SOME


def covering(name: str, version: str) -> list[Situation]:
    """The situations that cover a published one in a version."""
    return [one for one in read_all() if name in one.published and version in one.versions]


def _cell(name: str, version: str) -> str:
    if covering(name, version):
        return "yes" if version in PUBLISHED[name] else "also"
    return "**no**" if version in PUBLISHED[name] else "–"


def _difference(name: str) -> str:
    return " ".join(dict.fromkeys(one.adapted for one in read_all() if name in one.published and one.adapted))


def table() -> str:
    """The counts, a row per published situation, and what is ours alone."""
    lines = ["| FIX | published | covered |", "| --- | --- | --- |"]
    for version in VERSIONS:
        names = [name for name, versions in PUBLISHED.items() if version in versions]
        covered = sum(bool(covering(name, version)) for name in names)
        lines.append(f"| {version.replace('5.0SP2', '5.0 SP2')} | {len(names)} | {covered} |")
    lines += [
        "",
        "| Published as | 4.2 | 4.4 | 5.0 SP2 | File | What differs |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in PUBLISHED:
        files = sorted({one.name for one in read_all() if name in one.published})
        cells = " | ".join(_cell(name, version) for version in VERSIONS)
        lines.append(f"| {name} | {cells} | {', '.join(files)} | {_difference(name)} |")
    lines += ["", "Ours alone:", "", "| File | |", "| --- | --- |"]
    lines += [f"| {one.name} | {one.title} |" for one in read_all() if not one.published]
    return "\n".join(lines) + "\n"


def page_with(made: str) -> str:
    """The page with this table in place of the one it has."""
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{made}{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(page_with(table()), encoding="utf-8")
