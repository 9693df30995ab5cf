#!/usr/bin/env python3
"""Runs a server, and asks it for what admins ask for as long as it lives: reports.py RESULTS TOKENS SERVER COMMAND

Again and again: the lists that cost most, one after the other; beside them a reconciliation of the last hours, with a stand-in
for Stripe that lists what `million.sql` has put into the database; and `SERVER verify`. RESULTS gets a line of JSON per answer.
"""
import ctypes, hashlib, json, os, signal, subprocess, sys, threading, time, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

results, tokens, *server = sys.argv[1:]
API = f"http://{os.environ['BIND']}"
PATHS = ['/api/admin/bookings?limit=100', '/api/admin/bookings?limit=100&q=nobody', '/api/admin/bookings?limit=100&status=review',
         '/api/admin/payment-events?limit=100', '/api/admin/payment-events?limit=100&status=failed', '/api/admin/audit?limit=100', '/api/admin/discrepancies?limit=100']
RECONCILED = 3 * 3600
LISTS = 54410
PAGE = 100
PR_SET_PDEATHSIG = 1


def ends_with_its_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Payments:
    """Those of `million.sql` that a reconciliation looks at, newest first, as Stripe shows them."""
    def __init__(self):
        self.began = time.time()
        newest = 10**6
        numbers = range(newest, newest - newest * RECONCILED // (30 * 86400) - 1, -1)
        self.intents = [self.intent(number) for number in numbers]
        self.sessions = [self.session(number, intent) for number, intent in zip(numbers, self.intents)]

    def common(self, number):
        booking = f'00000001-0000-7000-8000-{number:012x}'
        metadata = {'bookingId': booking, 'attemptId': booking, 'app': 'holdfast'}
        return {'created': int(self.began - 30 * 86400 * (1 - number / 1e6)), 'currency': 'usd', 'livemode': False, 'metadata': metadata}

    def intent(self, number):
        name = hashlib.md5(str(number).encode()).hexdigest()
        charge = {'id': f'ch_{name}', 'object': 'charge', 'amount': 1250, 'amount_refunded': 0, 'currency': 'usd'}
        return {'id': f'pi_{name}', 'object': 'payment_intent', 'status': 'succeeded', 'amount': 1250, 'amount_received': 1250,
                'latest_charge': charge, **self.common(number)}

    def session(self, number, intent):
        common = self.common(number)
        return {'id': f"cs_test_{intent['id'][3:]}M", 'object': 'checkout.session', 'mode': 'payment', 'status': 'complete',
                'payment_status': 'paid', 'amount_total': 1250, 'client_reference_id': common['metadata']['bookingId'],
                'payment_intent': intent, 'expires_at': common['created'] + 2100, **common}

    def page(self, path, query):
        objects = {'/v1/checkout/sessions': self.sessions, '/v1/payment_intents': self.intents}.get(path, [])
        since, after = float(query['created[gte]'][0]), query.get('starting_after')
        first = next(at for at, each in enumerate(objects, 1) if each['id'] == after[0]) if after else 0
        data = [each for each in objects[first:first + PAGE] if each['created'] >= since]
        return {'object': 'list', 'url': path, 'data': data, 'has_more': len(data) == PAGE}


class Stripe(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        asked = urlsplit(self.path)
        body = json.dumps(payments.page(asked.path, parse_qs(asked.query))).encode()
        self.send_response(200)
        self.send_header('content-type', 'application/json')
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def keep(what, began, outcome):
    with open(results, 'a') as file:
        file.write(json.dumps({'what': what, 'ms': (time.monotonic() - began) * 1e3, 'outcome': outcome}) + '\n')


def ask(path, body=None):
    headers = {'authorization': f'Bearer {token}', 'content-type': 'application/json'}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(API + path, data, headers), timeout=30) as answer:
        return answer.status, json.load(answer)


def measure(what, work):
    began = time.monotonic()
    try:
        keep(what, began, work())
    except OSError as error:
        # It is not there yet, or no more; an answer that is an error is kept.
        if hasattr(error, 'code'):
            keep(what, began, error.code)
        time.sleep(0.1)


def reconcile():
    since = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() - RECONCILED))
    _, begun = ask('/api/admin/reconciliations', {'since': since})
    while begun['state'] == 'running':
        time.sleep(0.1)
        _, begun = ask(f"/api/admin/reconciliations/{begun['id']}")
    return f"{begun['state']}, {begun['checked']} checked, {len(begun['discrepancies'])} differ"


def verify():
    ended = subprocess.run([server[0], 'verify'], capture_output=True, text=True, preexec_fn=ends_with_its_parent)
    return f"exit status {ended.returncode}, {(ended.stdout or ended.stderr).strip().splitlines()[-1]}"


def again_and_again(*works):
    while True:
        for what, work in works:
            measure(what, work)


parent = os.getpid()
if os.fork():
    os.environ['STRIPE_API_BASE'] = f'http://127.0.0.1:{LISTS}'
    os.execvp(server[0], server)
ends_with_its_parent()
if os.getppid() == parent:
    payments = Payments()
    token = json.load(open(tokens))['admin']
    lists = [(path, lambda path=path: ask(path)[0]) for path in PATHS]
    for each in (lists, [('a reconciliation', reconcile)], [('verify', verify)]):
        threading.Thread(target=again_and_again, args=each).start()
    ThreadingHTTPServer(('127.0.0.1', LISTS), Stripe).serve_forever()
