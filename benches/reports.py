#!/usr/bin/env python3
"""Runs a server, and asks it for what admins ask for as long as it lives: reports.py RESULTS TOKENS SERVER COMMAND

One after the other, again and again: the lists that cost most, and `SERVER verify`. RESULTS gets a line of JSON per answer.
"""
import ctypes, json, os, signal, subprocess, sys, time, urllib.request

results, tokens, *server = sys.argv[1:]
API = f"http://{os.environ['BIND']}"
PATHS = ['/api/admin/bookings?limit=100', '/api/admin/bookings?limit=100&q=nobody', '/api/admin/bookings?limit=100&status=review',
         '/api/admin/payment-events?limit=100', '/api/admin/payment-events?limit=100&status=failed', '/api/admin/audit?limit=100', '/api/admin/discrepancies?limit=100']
PR_SET_PDEATHSIG = 1


def keep(what, began, outcome):
    with open(results, 'a') as file:
        file.write(json.dumps({'what': what, 'ms': (time.monotonic() - began) * 1e3, 'outcome': outcome}) + '\n')


def ask(path, token):
    request = urllib.request.Request(API + path, headers={'authorization': f'Bearer {token}'})
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()
        return answer.status


def measure(what, work):
    began = time.monotonic()
    try:
        keep(what, began, work())
    except OSError as error:
        # It is not there yet, or no more; an answer that is an error is kept.
        if hasattr(error, 'code'):
            keep(what, began, error.code)
        time.sleep(0.1)


def verify():
    return subprocess.run([server[0], 'verify'], capture_output=True).returncode


parent = os.getpid()
if os.fork():
    os.execvp(server[0], server)
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() == parent:
    token = json.load(open(tokens))['admin']
    while True:
        for path in PATHS:
            measure(path, lambda: ask(path, token))
        measure('verify', verify)
