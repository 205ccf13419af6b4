// Hidden secrets: what an administrator sees is masked, the host puts old values back by place, and each hook gets its own.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'

import { Random } from '../lib/random.mjs'
import { maskConfiguration, unmask } from './mask.mjs'

const { restoreSecrets } = createRequire(import.meta.url)('../../plugin/lib/secrets.js')

const hook = (method, url, token, more = {}) => ({ method, type: 'pre', url, format: 'json', ...more, ...(token === undefined ? {} : { advanced: { token, ...more.advanced } }) })
const A = hook('vm.start', 'http://a/', 'X')
const B = hook('vm.stop', 'http://b/', 'Y')
const C = hook('acl.get', 'http://c/')
const typed = (one, token) => ({ ...one, advanced: { ...one.advanced, token } })

// What is saved: `change` makes of the hooks as they are shown those that are sent. Throws what is not known.
function saved(old, change) {
  const given = unmask({ hooks: change(structuredClone(maskConfiguration({ hooks: old }).hooks)) }, { hooks: old })
  const { restored, unknown } = restoreSecrets(given, { hooks: old })
  if (unknown.length > 0) throw new Error(unknown.join(' '))
  return (restored ?? given).hooks
}
const tokens = (old, change) => saved(old, change).map(({ advanced }) => advanced?.token)

test('a secret stays at its hook when hooks are moved, removed, added and edited', () => {
  assert.deepEqual(tokens([A, B], ([a, b]) => [b, a]), ['Y', 'X'])
  assert.deepEqual(tokens([A, B], ([, b]) => [b]), ['Y'])
  assert.deepEqual(tokens([A, B], ([a, b]) => [C, b, a]), [undefined, 'Y', 'X'])
  assert.deepEqual(tokens([A, B], ([, b]) => [{ ...b, method: 'vm.*' }]), ['Y'])
  assert.deepEqual(tokens([A, B], ([, b]) => [{ ...b, url: 'http://b/new' }]), ['Y'])
  assert.deepEqual(tokens([A, B], ([a, b]) => [{ ...a, url: 'http://new/', method: 'acl.get' }, b]), ['X', 'Y'])
  assert.deepEqual(tokens([A, B], ([a]) => [a, typed(C, 'Z')]), ['X', 'Z'])
  const other = { ...A, method: 'vm.*' }
  assert.deepEqual(tokens([A, typed(other, 'Y')], ([a, b]) => [{ ...a, method: 'x.y' }, b]), ['X', 'Y'])
})

test('several hooks whose host is changed where they are keep theirs', () => {
  const old = ['a', 'b', 'c'].map(path => hook('vm.start', `http://old/${path}`, path))
  assert.deepEqual(tokens(old, hooks => hooks.map(one => ({ ...one, url: one.url.replace('old', 'new') }))), ['a', 'b', 'c'])
  const moved = ([a, b, c]) => [b, a, c].map(one => ({ ...one, url: `${one.url}x` }))
  assert.throws(() => tokens(old, moved), /hooks\/0\/advanced\/token .*hooks\/1/)
})

test('what can not be told is not known, and nobody else\'s', () => {
  const [one, two] = [hook('vm.start', 'http://a/0', 'X'), hook('vm.stop', 'http://a/1', 'Y')]
  assert.throws(() => tokens([one, two], ([, b]) => [{ ...b, url: 'http://a/1x', method: 'net.get' }]), /hooks\/0/)
  assert.throws(() => tokens([A, B], ([, b]) => [{ ...b, url: 'http://c/', method: 'net.get' }]), /hooks\/0/)
  const [same, again] = [A, typed(A, 'Y')]
  assert.throws(() => tokens([same, again], ([, b]) => [b]), /hooks\/0/)
  assert.deepEqual(tokens([same, same, B], ([, , b]) => [b]), ['Y'])
  assert.deepEqual(tokens([same, same], ([, b]) => [b]), ['X'])
})

test('a typed secret that is the hidden one of its place is not another\'s', () => {
  const change = ([, b]) => [b, typed(C, 'Y')]
  assert.throws(() => tokens([A, B], change), /hooks\/1/)
  for (const like of [{ ...A, url: 'http://c/' }, { ...A, url: 'http://a/c' }])
    assert.throws(() => tokens([A, B], ([, b]) => [b, typed(like, 'Y')]), /hooks\/1/)
  // the way out: without it, then with it
  const without = saved([A, B], ([, b]) => [b, C])
  assert.deepEqual(tokens(without, ([b, c]) => [b, typed(c, 'Y')]), ['Y', 'Y'])
  // a secret of all is whose it may be
  assert.deepEqual(tokens([typed(A, undefined), typed(B, 'S')], ([, b]) => [b, typed(C, 'S')]), ['S', 'S'])
  // one that had none had none to hide
  assert.deepEqual(tokens([A, C], ([, c]) => [typed(c, 'X')]), ['X'])
})

test('a script that sends everything in clear is understood', () => {
  const sent = (old, ...hooks) => tokens(old, () => hooks)
  assert.deepEqual(sent([A], typed(C, 'X'), A), ['X', 'X'])
  assert.deepEqual(sent([A, B], typed(C, 'X'), A), ['X', 'X'])
  assert.deepEqual(sent([A, B], B, A), ['Y', 'X'])
  assert.deepEqual(sent([A, B], typed(A, 'Y'), typed(B, 'X')), ['Y', 'X'])
  assert.deepEqual(sent([A, B], A, typed(C, 'Y')), ['X', 'Y'])
})

test('headers keep theirs when headers and hooks move', () => {
  const headers = (...names) => names.map(name => ({ name, passwordValue: `secret ${name}` }))
  const old = [hook('vm.start', 'http://a/', 'X', { advanced: { headers: headers('A', 'B', 'C') } }), hook('vm.stop', 'http://b/', 'Y', { advanced: { headers: headers('D') } })]
  const values = change => saved(old, change).map(({ advanced }) => advanced.headers.map(one => one.passwordValue))
  const withHeaders = (one, list) => ({ ...one, advanced: { ...one.advanced, headers: list } })
  assert.deepEqual(values(([a, b]) => [b, withHeaders(a, a.advanced.headers.slice(1))]), [['secret D'], ['secret B', 'secret C']])
  assert.deepEqual(values(([a, b]) => [withHeaders(a, a.advanced.headers.map((one, i) => (i === 1 ? { ...one, name: 'B2' } : one))), b])[0], ['secret A', 'secret B', 'secret C'])
  assert.throws(() => values(([a, b]) => [withHeaders(a, [{ ...a.advanced.headers[1], name: 'N' }]), b]), /hooks\/0\/advanced\/headers\/0\/passwordValue/)
})

// A change as an administrator or a script may make several of at once.
const CHANGES = [
  (shown, pick) => shown.splice(pick(shown.length), 1),
  (shown, pick) => shown.splice(pick(shown.length + 1), 0, { is: hook('acl.get', `http://n/${pick(9)}`), was: undefined }),
  (shown, pick) => shown.splice(pick(shown.length), 0, ...shown.splice(pick(shown.length), 1)),
  (shown, pick) => shown.length > 0 && (shown[pick(shown.length)].is.url += 'x'),
  (shown, pick) => shown.length > 0 && (shown[pick(shown.length)].is.method = 'net.get'),
]

test('in random changes no hook gets the secret of another', () => {
  const random = new Random(5)
  const pick = count => Math.floor(random.draw() * count)
  const of = list => random.pick(list)
  let known = 0
  for (let n = 0; n < 5000; n++) {
    const old = Array.from({ length: 1 + pick(5) }, (_, i) =>
      hook(of(['vm.start', 'vm.stop', 'vm.*']), `http://${of(['a', 'b', 'c'])}/${i}`, pick(4) === 0 ? undefined : `secret ${i}`, pick(2) === 0 ? {} : { name: `n${i}` })
    )
    const shown = structuredClone(maskConfiguration({ hooks: old }).hooks).map((is, was) => ({ is, was }))
    for (let count = 1 + pick(3); count > 0; count--) of(CHANGES)(shown, pick)
    let found
    try {
      found = tokens(old, () => shown.map(({ is }) => is))
    } catch {
      continue
    }
    known++
    assert.deepEqual(found, shown.map(({ was }) => old[was]?.advanced?.token), JSON.stringify([old, shown]))
  }
  assert.ok(known > 4500, `${known} were known`)
})

test('thousands of hooks are compared in a time that grows with them', () => {
  const old = Array.from({ length: 10_000 }, (_, i) => hook('vm.start', `http://h/${i}`, `secret ${i}`))
  assert.deepEqual(tokens(old, hooks => hooks.slice(1)), old.slice(1).map(({ advanced }) => advanced.token))
  const same = old.map(one => ({ ...one, url: 'http://h/' }))
  assert.throws(() => tokens(same, hooks => hooks.slice(1)), /hooks\/9998/)
  assert.throws(() => tokens(old, hooks => hooks.slice(1).map(one => ({ ...one, url: `${one.url}x` }))), /hooks\/9998/)
})
