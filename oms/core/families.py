"""Application messages that the gateway does not work with: what each is, and what to send instead.

They are answered with BusinessMessageReject(j), BusinessRejectReason(380)=3, and never passed on: a message that
is not understood could move orders that are not known here. Families, not single types, where the answer is one.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Family(NamedTuple):
    """What a group of messages is called, and the remedy."""

    what: str
    remedy: str


_LISTS: Final = Family("order lists", "send each order as NewOrderSingle(D), and cancel or ask about each by itself")
_ALLOCATIONS: Final = Family("allocations and confirmations", "arrange them with the broker's middle office")
_QUOTES: Final = Family("quotes and indications", "send an order as NewOrderSingle(D)")
_CROSSES: Final = Family("cross orders", "send each side as NewOrderSingle(D)")
_MULTILEG: Final = Family("multileg orders", "send each leg as NewOrderSingle(D)")
_BIDS: Final = Family("bids", "send each order as NewOrderSingle(D)")
_MARKET_DATA: Final = Family("market data and reference data", "ask the venue or a data vendor")
_TRADES: Final = Family("trade capture reports", "fills are reported as ExecutionReport(8)")
_POSITIONS: Final = Family("positions, collateral and settlement", "arrange them with the clearing firm")
_ORDERS: Final = Family("orders and requests for orders", "they come from clients, on a client session")
_REPORTS: Final = Family("reports on orders", "they come from brokers, on a broker session")
_NEWS: Final = Family("news and e-mail", "write to the desk")

NAMES: Final[dict[str, tuple[str, Family]]] = {
    "E": ("NewOrderList", _LISTS),
    "K": ("ListCancelRequest", _LISTS),
    "L": ("ListExecute", _LISTS),
    "M": ("ListStatusRequest", _LISTS),
    "N": ("ListStatus", _LISTS),
    "m": ("ListStrikePrice", _LISTS),
    "k": ("BidRequest", _BIDS),
    "l": ("BidResponse", _BIDS),
    "J": ("AllocationInstruction", _ALLOCATIONS),
    "P": ("AllocationInstructionAck", _ALLOCATIONS),
    "AS": ("AllocationReport", _ALLOCATIONS),
    "AT": ("AllocationReportAck", _ALLOCATIONS),
    "AK": ("Confirmation", _ALLOCATIONS),
    "AU": ("ConfirmationAck", _ALLOCATIONS),
    "BH": ("ConfirmationRequest", _ALLOCATIONS),
    "R": ("QuoteRequest", _QUOTES),
    "S": ("Quote", _QUOTES),
    "Z": ("QuoteCancel", _QUOTES),
    "a": ("QuoteStatusRequest", _QUOTES),
    "b": ("MassQuoteAcknowledgement", _QUOTES),
    "i": ("MassQuote", _QUOTES),
    "AG": ("QuoteRequestReject", _QUOTES),
    "AH": ("RFQRequest", _QUOTES),
    "AI": ("QuoteStatusReport", _QUOTES),
    "AJ": ("QuoteResponse", _QUOTES),
    "6": ("IOI", _QUOTES),
    "7": ("Advertisement", _QUOTES),
    "s": ("NewOrderCross", _CROSSES),
    "t": ("CrossOrderCancelReplaceRequest", _CROSSES),
    "u": ("CrossOrderCancelRequest", _CROSSES),
    "AB": ("NewOrderMultileg", _MULTILEG),
    "AC": ("MultilegOrderCancelReplace", _MULTILEG),
    "V": ("MarketDataRequest", _MARKET_DATA),
    "W": ("MarketDataSnapshotFullRefresh", _MARKET_DATA),
    "X": ("MarketDataIncrementalRefresh", _MARKET_DATA),
    "Y": ("MarketDataRequestReject", _MARKET_DATA),
    "c": ("SecurityDefinitionRequest", _MARKET_DATA),
    "d": ("SecurityDefinition", _MARKET_DATA),
    "e": ("SecurityStatusRequest", _MARKET_DATA),
    "f": ("SecurityStatus", _MARKET_DATA),
    "g": ("TradingSessionStatusRequest", _MARKET_DATA),
    "h": ("TradingSessionStatus", _MARKET_DATA),
    "v": ("SecurityTypeRequest", _MARKET_DATA),
    "w": ("SecurityTypes", _MARKET_DATA),
    "x": ("SecurityListRequest", _MARKET_DATA),
    "y": ("SecurityList", _MARKET_DATA),
    "AD": ("TradeCaptureReportRequest", _TRADES),
    "AE": ("TradeCaptureReport", _TRADES),
    "T": ("SettlementInstructions", _POSITIONS),
    "AL": ("PositionMaintenanceRequest", _POSITIONS),
    "AN": ("RequestForPositions", _POSITIONS),
    "AP": ("PositionReport", _POSITIONS),
    "AX": ("CollateralRequest", _POSITIONS),
    "AY": ("CollateralAssignment", _POSITIONS),
    "B": ("News", _NEWS),
    "C": ("Email", _NEWS),
    "D": ("NewOrderSingle", _ORDERS),
    "F": ("OrderCancelRequest", _ORDERS),
    "G": ("OrderCancelReplaceRequest", _ORDERS),
    "H": ("OrderStatusRequest", _ORDERS),
    "q": ("OrderMassCancelRequest", _ORDERS),
    "AF": ("OrderMassStatusRequest", _ORDERS),
    "8": ("ExecutionReport", _REPORTS),
    "9": ("OrderCancelReject", _REPORTS),
    "r": ("OrderMassCancelReport", _REPORTS),
}


def not_supported(msg_type: str) -> str:
    """Text(58) of the refusal of a message type: its name, and what to do instead."""
    text = f"MsgType(35) {msg_type} is not supported here"
    known = NAMES.get(msg_type)
    if known is None:
        return f"{text}; the rules of engagement name what is"
    name, family = known
    return f"{text}: {name}, {family.what} are not taken; {family.remedy}"
