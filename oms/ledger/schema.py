"""The tables of the ledger, named as the core and the wire name the same things.

`journal`, `batches`, `fills`, `witnesses` and `sends` are append-only: the gateway's role may only insert and
read, and triggers refuse UPDATE, DELETE and TRUNCATE to everybody (I6). `client_orders`, `child_orders`, `requests`
and `session_positions` are what the journal adds up to (I7): rebuildable, so they may be updated.
Times are UTC. Quantities are shares, prices in the instrument's currency, both NUMERIC without a scale.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()
GATEWAY_ROLE = "oms_gateway"


def _time(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable)


def _amount(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, Numeric, nullable=nullable)


# One row per message taken, message decided to be sent, session event, operator command or configuration.
journal = Table(
    "journal",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("batch", BigInteger, nullable=False),
    _text("kind"),  # in, out, session, refused, config, feedback, operator
    _text("session"),  # '' where none
    _text("msg_type"),  # MsgType(35); for kinds other than in and out, the event's name
    Column("msg_seq_num", BigInteger),  # MsgSeqNum(34) of what came in
    _text("order_id", nullable=True),
    Column("cause", BigInteger),  # the row that made this one happen
    _time("sending_time", nullable=True),  # SendingTime(52): when the counterparty sent it
    _time("received_at"),  # when the gateway took it, or decided it
    Column("trade_date", Date, primary_key=True),  # decides the partition (see ledger/partitions.py)
    Column("raw", LargeBinary, nullable=False),  # exactly what came in; what goes out, less the session's header
    Column("detail", JSON),  # the decision: rules with their numbers, transitions, ids given
    postgresql_partition_by="RANGE (trade_date)",
)
Index("journal_order_id", journal.c.order_id, postgresql_where=journal.c.order_id.isnot(None))
Index("journal_config", journal.c.seq, postgresql_where=journal.c.kind == "config")
Index("journal_out", journal.c.session, journal.c.seq, postgresql_where=journal.c.kind == "out")
Index("journal_session", journal.c.session, journal.c.seq, postgresql_where=journal.c.kind == "session")

# One row per commit. hash = SHA-256 over prev_hash and every journal row of the batch (see ledger/chain.py).
batches = Table(
    "batches",
    metadata,
    Column("batch", BigInteger, primary_key=True, autoincrement=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),  # first_seq - 1 where the batch has no journal rows
    Column("prev_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    _time("committed_at"),
    Column("lease", BigInteger, nullable=False, server_default="0"),  # token of the lease it was written under
)

# What became of each outgoing message: 'sent' with its MsgSeqNum(34), 'stored' (found in the session's store
# after a crash, delivered by resend), or 'refused' (never left: `reason`).
sends = Table(
    "sends",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    _text("session"),
    _text("outcome"),
    Column("msg_seq_num", BigInteger),
    Column("sent_at", DateTime(timezone=True), primary_key=True),  # decides the partition
    _text("reason", nullable=True),
    postgresql_partition_by="RANGE (sent_at)",
)

client_orders = Table(
    "client_orders",
    metadata,
    Column("order_id", Text, primary_key=True),  # OrderID(37) to the client: ours
    _text("client"),
    _text("cl_ord_id"),  # last accepted ClOrdID(11) of the client
    _text("original_cl_ord_id"),
    _text("account"),
    _text("trader"),
    _text("symbol"),
    _text("security_exchange"),
    _text("side"),
    _text("ord_type"),
    _text("time_in_force"),
    _text("ex_destination"),
    _amount("original_order_qty"),
    _amount("original_price", nullable=True),
    _amount("original_stop_px", nullable=True),
    _amount("order_qty"),
    _amount("price", nullable=True),
    _amount("stop_px", nullable=True),
    _amount("cum_qty"),
    _amount("leaves_qty"),
    _amount("avg_px"),
    _amount("notional"),  # sum of LastQty(32) x LastPx(31), net of busts and corrections
    _text("life"),  # state of transitions.TABLE
    _text("ord_status"),  # OrdStatus(39) in 4.4 terms, computed
    Column("finished", Boolean, nullable=False),
    _text("reason", nullable=True),  # why rejected or cancelled, where a reason was given
    Column("trade_date", Date, nullable=False),
    _time("received_at"),
    Column("new_seq", BigInteger, nullable=False),  # journal row of the NewOrderSingle(D)
    Column("last_seq", BigInteger, nullable=False),  # journal row of the last change
)
Index(
    "client_orders_cl_ord_id",
    client_orders.c.client,
    client_orders.c.trade_date,
    client_orders.c.original_cl_ord_id,
    unique=True,
)
Index("client_orders_live", client_orders.c.order_id, postgresql_where=~client_orders.c.finished)

child_orders = Table(
    "child_orders",
    metadata,
    Column("child_id", Text, primary_key=True),  # the first ClOrdID(11) sent to the broker
    _text("order_id"),
    _text("broker"),
    _text("cl_ord_id"),  # last ClOrdID(11) the broker accepted
    _text("broker_order_id"),  # OrderID(37) of the broker, '' until known
    _text("route_rule"),
    _amount("order_qty"),
    _amount("price", nullable=True),
    _amount("stop_px", nullable=True),
    _amount("cum_qty"),
    _text("life"),
    Column("finished", Boolean, nullable=False),
    Column("sent_seq", BigInteger, nullable=False),  # journal row of the NewOrderSingle(D) to the broker
    Column("last_seq", BigInteger, nullable=False),
)
Index("child_orders_order_id", child_orders.c.order_id)
Index(
    "child_orders_broker_order_id",
    child_orders.c.broker_order_id,
    postgresql_where=child_orders.c.broker_order_id != "",
)

# Cancel and replace requests: the id chains of both sides, in order of `seq`.
requests = Table(
    "requests",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),  # journal row of the request
    _text("client"),
    Column("trade_date", Date, nullable=False),
    _text("cl_ord_id"),  # ClOrdID(11) of the client; of a mass cancel's parts its id, a slash and what they are about
    _text("orig_cl_ord_id"),  # '' in a cancel that a mass cancel asked for
    _text("order_id"),  # '' in a mass cancel
    _text("kind"),  # F or G, and q: of the client, and each one sent to a broker
    _text("broker_cl_ord_id"),  # ClOrdID(11) of our request to the broker
    _text("state"),  # held, sent, pending, accepted, rejected
    _amount("order_qty", nullable=True),
    _amount("price", nullable=True),
    _amount("stop_px", nullable=True),
)
Index("requests_cl_ord_id", requests.c.client, requests.c.trade_date, requests.c.cl_ord_id, unique=True)
Index("requests_order_id", requests.c.order_id)
Index("requests_broker_cl_ord_id", requests.c.broker_cl_ord_id)

# Every execution, correction and bust a broker reported: facts, each once (I3).
fills = Table(
    "fills",
    metadata,
    Column("client_exec_id", Text, primary_key=True),  # ExecID(17) to the client: ours
    _text("broker"),
    Column("trade_date", Date, nullable=False),  # TradeDate(75), else the date of TransactTime(60)
    _text("exec_id"),  # ExecID(17) of the broker
    _text("exec_ref_id"),  # ExecRefID(19) of a correction or bust, '' otherwise
    _text("kind"),  # trade, correct, bust
    _text("order_id", nullable=True),  # null: for no order that we know
    _text("child_id", nullable=True),
    _text("account"),
    _text("symbol"),
    _text("side"),
    _amount("last_qty"),
    _amount("last_px"),
    _time("transact_time", nullable=True),  # time of the execution, as the broker tells it
    _time("sending_time", nullable=True),
    _time("received_at"),
    Column("seq", BigInteger, nullable=False),  # journal row of the report
    Column("origin", Text, nullable=False, server_default="broker"),  # broker, or manual: entered by people
)
Index("fills_exec_id", fills.c.broker, fills.c.trade_date, fills.c.exec_id, unique=True)
Index("fills_order_id", fills.c.order_id)

# What others than the order session tell of an execution: a drop copy, an end-of-day file. The first word stands.
witnesses = Table(
    "witnesses",
    metadata,
    Column("broker", Text, primary_key=True),
    Column("trade_date", Date, primary_key=True),
    Column("exec_id", Text, primary_key=True),  # ExecID(17): the three name the fill, if there is one
    Column("witness", Text, primary_key=True),  # drop copy, file
    _text("kind"),  # trade, correct, bust
    _amount("quantity", nullable=True),  # LastQty(32), null where the witness does not tell
    _amount("price", nullable=True),  # LastPx(31)
    Column("seq", BigInteger, nullable=False),  # journal row that brought it
    _time("at"),
    _text("cl_ord_id"),  # ClOrdID(11) as told, '' where not
    _text("account"),
    _text("symbol"),
    _text("side"),
)
Index("witnesses_seq", witnesses.c.broker, witnesses.c.seq)

session_positions = Table(
    "session_positions",
    metadata,
    Column("session", Text, primary_key=True),
    _text("role"),  # client, broker or drop_copy
    Column("epoch", Integer, nullable=False),  # counts resets of the sequence numbers
    Column("in_msg_seq_num", BigInteger, nullable=False),  # last MsgSeqNum(34) committed
    Column("out_seq", BigInteger, nullable=False),  # last journal row settled by the outbox
    Column("out_msg_seq_num", BigInteger, nullable=False),  # its MsgSeqNum(34)
    Column("logged_on", Boolean, nullable=False),
    _time("changed_at"),  # last logon or logout
)

exception_items = Table(
    "exception_items",
    metadata,
    Column("item_id", Text, primary_key=True),
    _time("opened_at"),
    _text("kind"),
    _text("severity"),  # warning, error
    _text("owner"),
    _text("session"),
    _text("order_id", nullable=True),
    Column("seq", BigInteger, nullable=False),  # journal row that is the evidence
    _text("text"),
    _text("state"),  # open, resolved
    _text("resolution", nullable=True),
    _time("resolved_at", nullable=True),
)

# Who may write: one row named 'gateway', whose token goes up by one whenever another takes it, and one row for
# each standby that waits (see ledger/lease.py). Times are of the database's clock.
leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("token", BigInteger, nullable=False),
    _text("run"),  # made up by each process: tells one run of a gateway from another
    _text("holder"),  # for people: name, host, process
    Column("seconds", Integer, nullable=False),  # how long a renewal holds
    _time("renewed_at"),
    _time("expires_at"),
    Column("released", Boolean, nullable=False),  # given back: nobody need wait for it to run out
    UniqueConstraint("name", "token"),
)

# Days of the journal that are in files (see ledger/archive.py). Written by the tables' owner only.
archives = Table(
    "archives",
    metadata,
    Column("day", Date, primary_key=True),  # trade date
    Column("first_batch", BigInteger, nullable=False),
    Column("last_batch", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("prev_hash", LargeBinary, nullable=False),  # of the batch before the first
    Column("hash", LargeBinary, nullable=False),  # of the last batch: what the next one chains to
    Column("rows", BigInteger, nullable=False),  # of the journal, all in the file
    _text("file"),
    Column("size", BigInteger, nullable=False),  # bytes
    Column("sha256", LargeBinary, nullable=False),  # of the file
    Column("kept_rows", BigInteger, nullable=False),  # of the journal, still here: live orders, open items, starts
    Column("kept_hash", LargeBinary, nullable=False),  # SHA-256 of their canonical texts
    _time("archived_at"),
    _text("archived_by"),
    _time("restored_at", nullable=True),
    _text("restored_by", nullable=True),
)

# By which version of the program's rules the projections were made, and when (see ledger/rebuild_tables.py).
projection_versions = Table(
    "projection_versions",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    _time("made_at"),
    Column("last_seq", BigInteger, nullable=False),  # journal row up to which they were made anew
)

# The reference price in use of each symbol that got one besides the instruments file (see ledger/prices.py).
reference_prices = Table(
    "reference_prices",
    metadata,
    Column("symbol", Text, primary_key=True),
    _amount("price"),
    _time("at"),  # as of when
    _text("source"),
    Column("seq", BigInteger, nullable=False),  # journal row that took it
)

# Whether the ledger is for test or live: one row, 'ledger' (see ledger/environment.py). Written once, by the owner.
ledger_environment = Table(
    "ledger_environment",
    metadata,
    Column("name", Text, primary_key=True),
    _text("environment"),  # test, live
    _time("since"),
    _text("marked_by"),  # the gateway that was the first to use it
)

# What has traded, summed up to a journal row (see ledger/traded_sums.py): a start reads it and what came after.
traded_sums = Table(
    "traded_sums",
    metadata,
    Column("day", Date, primary_key=True),  # trade date; 0001-01-01: all days before the last one that was summed
    Column("client", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("trader", Text, primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("side", Text, primary_key=True),
    Column("ord_type", Text, primary_key=True),
    Column("broker", Text, primary_key=True),
    _amount("filled"),
    _amount("money"),
    Column("fills", BigInteger, nullable=False),  # executions
    Column("orders", BigInteger, nullable=False),  # new ones that went to a broker
    Column("replaces", BigInteger, nullable=False),  # asked for by the client
    Column("cancels", BigInteger, nullable=False),
    _text("last_trade"),  # ExecID(17) to the client and LastPx(31) of the last execution, '' without any
)
traded_until = Table(
    "traded_until",
    metadata,
    Column("name", Text, primary_key=True),  # 'sums'
    Column("last_seq", BigInteger, nullable=False),  # journal row up to which they count
    Column("rollover_seconds", Integer, nullable=False),  # by which their days were told apart
    _time("made_at"),
)
Index("fills_amended", fills.c.child_id, postgresql_where=fills.c.kind != "trade")

Index("journal_operators", journal.c.seq, postgresql_where=journal.c.kind == "operator")
Index("exception_items_open", exception_items.c.opened_at, postgresql_where=exception_items.c.state == "open")
Index("exception_items_open_order", exception_items.c.order_id, postgresql_where=exception_items.c.state == "open")

APPEND_ONLY = ("journal", "batches", "sends", "fills", "witnesses")
PROJECTIONS = (
    "client_orders", "child_orders", "requests", "session_positions", "exception_items", "reference_prices",
)  # fmt: skip
STANDING = ("leases",)  # neither history nor made of it: what holds now
# The gateway reads these; the commands of the tables' owner write them.
OWNERS = ("archives", "projection_versions", "ledger_environment", "traded_sums", "traded_until")
PARTITIONED = {"journal": "trade_date", "sends": "sent_at"}  # table -> the column that decides the partition
PROJECTION_VERSION = 1  # goes up when the same journal gives other rows of the projections
