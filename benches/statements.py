"""What Holdfast really sends to Postgres: read from the server's log, and turned into a script for pgbench.

One request is made, and the statements that were logged meanwhile are taken as they are; parameters become expressions of
a counter. So the script follows every change of the queries by itself.
"""
import hashlib, hmac, json, os, re, subprocess, time, urllib.error, urllib.request
from pathlib import Path

HOST, PORT, DATABASE = '127.0.0.1', 54329, 'holdfast_bench'
BENCHES = Path(__file__).resolve().parent
QUERIES = BENCHES.parent / '.sqlx'
# As the log writes an entry: 1234|holdfast|LOG:  execute sqlx_s_1: select … The workers' are not of a request.
ENTRY = re.compile(r'^(\d+)\|(holdfast(?! workers)[^|]*)\|(\w+):  (.*)$', re.S)
PARAMETER = re.compile(r"\$(\d+) = (NULL|'(?:[^']|'')*')", re.S)
UUID = re.compile(r'^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$')
TIME = re.compile(r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d')
CREATED = 1_760_000_000
# The first show of the fixture.
SHOW = '01990000-0000-7000-8000-000000000001'
# Ids of sessions have 66 characters.
TAIL = 'A1b2C3d4E5f6G7h8I9j0K1l2M3'


def psql(sql, database=DATABASE, how='-c'):
    command = ['psql', '-h', HOST, '-p', str(PORT), '-U', 'postgres', '-qAtX', '-v', 'ON_ERROR_STOP=1', how, sql, database]
    quiet = {**os.environ, 'PGOPTIONS': '-c client_min_messages=warning'}
    return subprocess.run(command, text=True, check=True, stdout=subprocess.PIPE, env=quiet).stdout.strip()


def seeded(n):
    """The ids of the n-th pending booking of the adapter's `seed_pending`, and of an event about it; its attempt has its id."""
    return {'booking_id': f'01990001-0000-7000-8000-{n:012x}', 'session_id': f'cs_test_{hashlib.md5(str(n).encode()).hexdigest()}{TAIL}',
            'payment_intent': f'pi_3Perf{n:016x}', 'event_id': f'evt_1Perf{n:022x}'}


# The same in SQL, of pgbench's variable n.
EXPRESSIONS = {
    'booking_id': "('01990001-0000-7000-8000-' || lpad(to_hex(:n::bigint), 12, '0'))::uuid",
    'session_id': f"('cs_test_' || md5((:n::bigint)::text) || '{TAIL}')",
    'payment_intent': "('pi_3Perf' || lpad(to_hex(:n::bigint), 16, '0'))",
    'event_id': "('evt_1Perf' || lpad(to_hex(:n::bigint), 22, '0'))",
}


def body(n):
    """The event of the n-th pending booking, as the load generator sends it."""
    text = (BENCHES / 'event.json').read_text().rstrip()
    values = {**seeded(n), '#amount': '1250', '#created': str(CREATED), 'currency': 'usd'}
    return re.sub(r'"\{\{(#\w+)\}\}"|\{\{(\w+)\}\}', lambda found: values[found[1] or found[2]], text)


def ask(port, method, path, text=None, headers=None):
    request = urllib.request.Request(f'http://127.0.0.1:{port}{path}', text and text.encode(), headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def deliver(port, n):
    text, now = body(n), str(int(time.time()))
    signature = hmac.new(b'whsec_perf_secret', f'{now}.{text}'.encode(), hashlib.sha256).hexdigest()
    return ask(port, 'POST', '/api/stripe', text, {'content-type': 'application/json', 'stripe-signature': f't={now},v1={signature}'})


def logged(log, begin):
    """The statements in the log after `begin`: [(sql, {number: value})]."""
    with log.open() as file:
        file.seek(begin)
        lines = file.read()
    found = []
    # Lines of an entry after its first begin with a tab.
    for entry in re.split(r'\n(?!\t)', lines):
        parts = ENTRY.match(entry.replace('\n\t', '\n'))
        if not parts:
            continue
        _, _, level, text = parts.groups()
        if level == 'LOG' and text.startswith(('statement: ', 'execute ')):
            found.append((text.split(': ', 1)[1].strip(), {}))
        elif level == 'DETAIL' and text.startswith('parameters: ') and found:
            values = {int(number): None if value == 'NULL' else value[1:-1].replace("''", "'") for number, value in PARAMETER.findall(text)}
            found[-1] = (found[-1][0], values)
    return found


def is_lookup(sql):
    """What is asked once per connection: sqlx's question for a type, and the settings of the session."""
    return 'pg_catalog.pg_type' in sql or 'set_config(' in sql


def is_trip(sql):
    return sql.upper().rstrip(';') not in ('BEGIN', 'COMMIT', 'ROLLBACK')


def types():
    """The types of parameters, by query, as the compiler has checked them."""
    name = lambda kind: kind['Custom']['name'] if isinstance(kind, dict) else re.sub('array$', '[]', kind.lower())
    queries = [json.loads(file.read_text()) for file in QUERIES.glob('query-*.json')]
    return {query['query'].strip(): list(map(name, query['describe']['parameters']['Left'])) for query in queries}


def element(value):
    """The one element of an array, as Postgres prints it."""
    found = re.fullmatch(r'\{(?:"(.*)"|([^",]*))\}', value, re.S)
    assert found, f'not one element: {value}'
    return found[2] if found[1] is None else re.sub(r'\\(.)', r'\1', found[1], flags=re.S)


def script(found, n):
    """The pgbench script that sends the statements `found`, which were sent for the n-th booking."""
    ids = {value: EXPRESSIONS[name] for name, value in seeded(n).items()}
    known, made = types(), {}

    def one(value):
        """The expression of a value that differs from request to request, else nothing."""
        if value in ids:
            return ids[value]
        if UUID.match(value):
            # One that was made for this request. In the order of time, as ours are.
            number = made.setdefault(value, len(made) + 2)
            return f"('0199000{number}-0000-7000-8000-' || lpad(to_hex(:n::bigint), 12, '0'))::uuid"
        if TIME.match(value):
            return 'now()'
        return ':payload' if value.rstrip() == body(n) else None

    def expression(value, kind):
        array = value is not None and kind.endswith('[]')
        varying = value is not None and one(element(value) if array else value)
        if varying and array:
            # Not as array[…], whose length the planner would know: it does not know that of a parameter.
            plain = varying in (':payload', 'now()')
            return f'array[{varying}]::{kind}' if plain else f"('{{' || {varying} || '}}')::{kind}"
        if varying:
            return varying
        assert value is None or not any(id in value for id in ids), f'a value that is made of ids: {value}'
        # A colon would begin a variable of pgbench.
        escaped = (value or '').replace('\\', '\\\\').replace("'", "''").replace(':', '\\x3a')
        return ('null' if value is None else f"E'{escaped}'") + (f'::{kind}' if kind else '')

    out = ['\\set i :i + 1', '\\set n :client_id * :per + :i']
    for sql, values in found:
        kinds = known.get(sql, [])
        put = lambda number: expression(values[int(number[1])], kinds[int(number[1]) - 1] if kinds else '')
        out.append(re.sub(r'\$(\d+)', put, sql).rstrip(';') + ';')
    return '\n'.join(out) + '\n'


def capture(work, holdfast, environment, port, adapter):
    """Runs one request of each kind and reads what was sent: ({request: round trips}, the script of the webhook)."""
    log = work / 'pg' / 'log'
    psql("alter system set log_line_prefix = '%p|%a|'")
    psql('select pg_reload_conf()')
    psql(f"alter database {DATABASE} set log_statement = 'all'")
    psql('; '.join(adapter['sql']['reset']))
    psql(adapter['sql']['seed_pending'].replace('{{n}}', '4'))
    stub = subprocess.Popen([work / 'bin' / 'loadgen', 'stub', '--port', '54400', '--delay-ms', '0'], stderr=subprocess.DEVNULL)
    server = subprocess.Popen([holdfast, 'serve'], env=environment, stderr=subprocess.DEVNULL)
    tokens = json.loads((work / 'tokens.json').read_text())
    # Of each booking another: a user may hold one of a show, and the seeded ones are those of the first users.
    buyer = lambda n: {'authorization': f"Bearer {tokens[f'user_{n}']}", 'content-type': 'application/json'}
    body = lambda seat: json.dumps({'kind': 'show', 'showId': SHOW, 'seats': [seat]})
    requests = {
        'webhook': lambda: deliver(port, 2),
        'duplicate webhook': lambda: deliver(port, 2),
        'seat map': lambda: ask(port, 'GET', f'/api/shows/{SHOW}/seats'),
        'booking': lambda: ask(port, 'POST', '/api/bookings', body('J20'), buyer(11)),
        'booking with a key': lambda: ask(port, 'POST', '/api/bookings', body('J19'), {**buyer(12), 'idempotency-key': 'bench'}),
        'refused booking': lambda: ask(port, 'POST', '/api/bookings', body('J20'), buyer(13)),
        'read': lambda: ask(port, 'GET', f"/api/bookings/{seeded(1)['booking_id']}", None, buyer(1)),
    }
    trips, webhook = {}, []
    try:
        deadline = time.time() + 10
        while True:
            try:
                if ask(port, 'GET', '/ready')[0] == 200:
                    break
            except OSError:
                assert time.time() < deadline, 'Holdfast does not become ready'
                time.sleep(0.05)
        # What is asked only once, of users and of layouts, does not count.
        requests['seat map']()
        for user in (1, 11, 12, 13):
            ask(port, 'GET', '/api/bookings', None, buyer(user))
        for name, request in requests.items():
            time.sleep(0.3)
            begin = log.stat().st_size
            status, answer = request()
            assert status in (200, 201, 409), f'{name}: {status} {answer}'
            time.sleep(0.3)
            found = [entry for entry in logged(log, begin) if not is_lookup(entry[0])]
            (work / f"{name.replace(' ', '-')}.log.sql").write_text('\n\n'.join(sql for sql, _ in found))
            trips[name] = sum(is_trip(sql) for sql, _ in found)
            webhook = webhook or found
    finally:
        for process in (server, stub):
            process.terminate()
            process.wait(30)
        psql(f'alter database {DATABASE} reset log_statement')
    return trips, script(webhook, 2)
