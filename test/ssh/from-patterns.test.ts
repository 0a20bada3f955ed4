// From where a key may be used.

import t from 'tap'
import { matchesFrom, plainAddress } from '../../lib/ssh/from-patterns.ts'

const CASES: readonly [patterns: string, address: string, admitted: boolean, why: string][] = [
  ['10.0.0.1', '10.0.0.1', true, 'an address admits itself'],
  ['10.0.0.1', '10.0.0.11', false, 'an address admits no longer one'],
  ['10.0.0.1', '::ffff:10.0.0.1', true, 'an IPv4 address is known behind an IPv6 socket'],
  ['10.0.*', '10.0.7.9', true, 'a star admits any rest'],
  ['10.0.0.?', '10.0.0.12', false, 'a question mark admits one character'],
  ['10.0.0.0/8', '10.9.9.9', true, 'a network admits its addresses'],
  ['10.0.0.0/8', '11.9.9.9', false, 'a network admits no others'],
  ['10.0.0.0/33', '10.9.9.9', false, 'a network with too many bits admits nobody'],
  ['fe80::/10', 'fe80::1', true, 'an IPv6 network admits its addresses'],
  ['FE80::1', 'fe80::1', true, 'letters match in either case'],
  ['*,!10.0.0.9', '10.0.0.9', false, 'a negated pattern forbids whatever admits'],
  ['!10.0.0.9', '10.0.0.8', false, 'a negated pattern alone admits nobody'],
  ['*', '10.0.0.9', true, 'a star alone admits everybody'],
  ['host.example', '10.0.0.9', false, 'a name is not looked up'],
  ['cafe', '10.0.0.9', false, 'a name of hex digits is still a name'],
  ['*,!host.example', '10.0.0.9', false, 'what cannot be ruled out is refused'],
  ['10a0', '10.0', false, 'a dot is a dot'],
]

for (const [patterns, address, admitted, why] of CASES) {
  t.test(`from="${patterns}": ${why}`, (t) => {
    t.equal(matchesFrom(patterns.split(','), address), admitted)
    t.end()
  })
}

t.test('an address is told in one spelling', (t) => {
  t.equal(plainAddress('::FFFF:1.2.3.4'), '1.2.3.4')
  t.equal(plainAddress('FE80::1'), 'fe80::1')
  t.end()
})
