// What waits in the plugin for the program's word: cut into good writes, written again after a reconnect, bounded.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'

const { Backlog } = createRequire(import.meta.url)('../../plugin/lib/backlog.js')

const MIB = 1024 * 1024
const drain = backlog => {
  const writes = []
  for (let chunk; (chunk = backlog.next()) !== undefined;) writes.push(chunk)
  return writes
}

test('lines are gathered, and a long one is cut where bytes can be cut', () => {
  const backlog = new Backlog(64 * MIB)
  const long = `"${'🙂'.repeat(MIB)}`
  backlog.add(1, '<', 'a', '>')
  backlog.add(2, '<', 'b', '>')
  backlog.add(3, '<', long, '>')
  backlog.add(4, '<', 'c', '>')
  const writes = drain(backlog)
  assert.equal(writes[0], '<a><b>')
  assert.equal(writes.at(-1), '<c>')
  assert.ok(writes.length > 4)
  // each write becomes bytes by itself
  assert.equal(Buffer.concat(writes.map(text => Buffer.from(text))).toString(), `<a><b><${long}><c>`)
})

test('nothing is said in the middle of a line', () => {
  const backlog = new Backlog(64 * MIB)
  backlog.add(1, '<', 'x'.repeat(MIB), '>')
  backlog.next()
  assert.equal(backlog.midLine, true)
  drain(backlog)
  assert.equal(backlog.midLine, false)
})

test('what is not confirmed is written again from its beginning', () => {
  const backlog = new Backlog(64 * MIB)
  const long = 'x'.repeat(MIB)
  backlog.add(1, '<', 'a', '>')
  backlog.add(2, '<', long, '>')
  backlog.add(3, '<', 'b', '>')
  backlog.next()
  backlog.next() // a part
  backlog.confirm(1)
  backlog.rewind()
  assert.equal(drain(backlog).join(''), `<${long}><b>`)
  assert.equal(backlog.count, 2)
  backlog.drop(2)
  backlog.rewind()
  assert.equal(drain(backlog).join(''), '<b>')
  backlog.confirm(3)
  assert.deepEqual([backlog.count, backlog.bytes, backlog.next()], [0, 0, undefined])
})

test('what passes the cap is not taken', () => {
  const backlog = new Backlog(10)
  assert.equal(backlog.add(1, '<', '12345', '>'), true)
  assert.equal(backlog.add(2, '<', '12', '>'), false)
  assert.equal(backlog.add(3, '<', '1', '>'), true)
  assert.equal(backlog.bytes, 10)
})
