"""How long messages take and why orders are refused, read from the journal for people and reports.

Latencies are differences of the gateway's own clock in microseconds: received (the engine handed the message
over), committed (the batch is safe), sent (handed to the engine). They are statistics, hence floats in seconds.
Only the newest ``rows`` of the journal are read, so that the question costs the same on any day.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, text

RECENT_ROWS = 200_000

RECEIVED_TO_COMMITTED = "received to committed"
COMMITTED_TO_SENT = "committed to sent"
CLIENT_TO_BROKER = "client order to broker"
BROKER_TO_CLIENT = "broker report to client"
HOPS = (RECEIVED_TO_COMMITTED, COMMITTED_TO_SENT, CLIENT_TO_BROKER, BROKER_TO_CLIENT)


@dataclass(frozen=True, slots=True)
class Latency:
    """One hop of one session's messages; times in seconds.

    The session is where the message came from for `received to committed`, and where it went for the others.
    """

    session: str
    hop: str
    count: int
    p50: float
    p90: float
    p99: float
    worst: float


@dataclass(frozen=True, slots=True)
class Refusals:
    """How many requests were refused for one reason; ``by`` is rule, gateway or broker.

    The session is the client's where the gateway refused, and the broker's where the broker did.
    """

    session: str
    by: str
    reason: str
    count: int


# A message sent twice over (stored, then resent) or after waiting for a logon tells nothing of our own speed:
# only what was sent by the process that decided it, to a session that was there, is in `sends` as 'sent'.
_LATENCIES = """
WITH recent AS MATERIALIZED (
    SELECT seq, batch, kind, session, msg_type, cause, received_at FROM journal
    WHERE seq > (SELECT coalesce(max(seq), 0) FROM journal) - :rows
), hops AS (
    SELECT r.session, :received_to_committed AS hop, b.committed_at - r.received_at AS took
    FROM recent r JOIN batches b USING (batch) WHERE r.kind = 'in'
    UNION ALL
    SELECT r.session, :committed_to_sent, s.sent_at - b.committed_at
    FROM recent r JOIN batches b USING (batch) JOIN sends s USING (seq) WHERE s.outcome = 'sent'
    UNION ALL
    SELECT r.session, CASE WHEN r.msg_type = '8' THEN :broker_to_client ELSE :client_to_broker END,
        s.sent_at - i.received_at
    FROM recent r JOIN sends s USING (seq) JOIN recent i ON i.seq = r.cause
    WHERE s.outcome = 'sent' AND i.kind = 'in' AND r.msg_type = i.msg_type AND r.msg_type IN ('D', '8')
), seconds AS (SELECT session, hop, extract(epoch FROM took)::float8 AS took FROM hops)
SELECT session, hop, count(*), percentile_disc(0.5) WITHIN GROUP (ORDER BY took),
    percentile_disc(0.9) WITHIN GROUP (ORDER BY took), percentile_disc(0.99) WITHIN GROUP (ORDER BY took), max(took)
FROM seconds GROUP BY session, hop ORDER BY session, hop
"""

# Texts that name the request are put together by leaving out what differs: `ClOrdID(11) X was used` is one reason.
_REFUSALS = r"""
WITH recent AS MATERIALIZED (
    SELECT session, msg_type, order_id, detail, raw FROM journal
    WHERE seq > (SELECT coalesce(max(seq), 0) FROM journal) - :rows AND kind = 'in' AND detail IS NOT NULL
), refused AS (
    SELECT session, 'rule' AS by, detail->'verdict'->>'rule' AS reason FROM recent
    WHERE detail->'verdict'->>'ok' = 'false'
    UNION ALL
    SELECT session, 'gateway', regexp_replace(detail->>'refused', '(\(\d+\)) \S+', '\1 ...', 'g') FROM recent
    WHERE detail->>'refused' IS NOT NULL AND detail->'verdict' IS NULL
    UNION ALL
    SELECT r.session, 'broker', coalesce(nullif(o.reason, ''), 'no reason given')
    FROM recent r JOIN client_orders o USING (order_id)
    WHERE r.msg_type = '8' AND detail->'transition'->>1 = 'reject'
    UNION ALL
    SELECT session, 'broker', 'OrderCancelReject(9): '
        || coalesce(substring(encode(raw, 'escape') FROM chr(1) || '58=([^' || chr(1) || ']*)'), 'no reason given')
    FROM recent WHERE msg_type = '9' AND detail->'duplicate' IS NULL
)
SELECT session, by, reason, count(*) FROM refused GROUP BY session, by, reason
ORDER BY count(*) DESC, session, by, reason
"""


def latencies(engine: Engine, rows: int = RECENT_ROWS) -> list[Latency]:
    """Time per hop and session, over the newest ``rows`` journal rows."""
    values = {
        "rows": rows,
        "received_to_committed": RECEIVED_TO_COMMITTED,
        "committed_to_sent": COMMITTED_TO_SENT,
        "client_to_broker": CLIENT_TO_BROKER,
        "broker_to_client": BROKER_TO_CLIENT,
    }
    with engine.connect() as connection:
        found = [Latency(*row) for row in connection.execute(text(_LATENCIES), values)]
    return sorted(found, key=lambda one: (HOPS.index(one.hop), one.session))


def refusals(engine: Engine, rows: int = RECENT_ROWS) -> list[Refusals]:
    """Refused requests by reason, most first, over the newest ``rows`` journal rows."""
    with engine.connect() as connection:
        return [Refusals(*row) for row in connection.execute(text(_REFUSALS), {"rows": rows})]
