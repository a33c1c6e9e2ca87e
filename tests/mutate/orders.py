# SPDX-License-Identifier: MIT
"""Accesses with every order, so that a mutant may ask for one that the engine
has no use for: as the compiler has them, and as an explorer has them."""

VERBS = {
    'add': ('__atomic_fetch_add', 'EXPLORE_ADD'),
    'sub': ('__atomic_fetch_sub', 'EXPLORE_SUB'),
    'or': ('__atomic_fetch_or', 'EXPLORE_OR'),
    'and': ('__atomic_fetch_and', 'EXPLORE_AND'),
    'swap': ('__atomic_exchange_n', 'EXPLORE_SWAP'),
}


def definitions(order):
    """Lines of a header, for one order: first for an explorer."""
    name, strong = order.lower(), '__ATOMIC_' + order
    explore = 'EXPLORE_' + order
    mine, theirs = [], []

    def both(verb, arguments, ours, explored):
        head = '#define mutant_%s_%s(%s) ' % (verb, name, arguments)
        mine.append(head + ours)
        theirs.append(head + explored)

    both('load', 'w', '__atomic_load_n(&(w)->v, %s)' % strong,
         'EXPLORE_LOAD(w, %s)' % explore)
    both('store', 'w, x', '__atomic_store_n(&(w)->v, x, %s)' % strong,
         'EXPLORE_STORE(w, x, %s)' % explore)
    both('cas', 'w, o, x',
         '__atomic_compare_exchange_n(&(w)->v, o, x, 0, %s, '
         '__ATOMIC_RELAXED)' % strong, 'EXPLORE_CAS(w, o, x, %s)' % explore)
    for verb, (builtin, change) in VERBS.items():
        both(verb, 'w, x', '%s(&(w)->v, x, %s)' % (builtin, strong),
             'EXPLORE_CHANGE(w, %s, x, %s)' % (change, explore))
    return ['#ifdef CFI_ATOMIC_OVERRIDE'] + theirs + ['#else'] + mine + [
        '#endif']


def header():
    lines = []
    for order in ('RELAXED', 'ACQUIRE', 'RELEASE', 'ACQ_REL', 'SEQ_CST'):
        lines += definitions(order)
    return '\n'.join(lines) + '\n'
