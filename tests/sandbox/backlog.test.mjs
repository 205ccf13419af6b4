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

const OLD = { hooks: ['old'] }
const NEW = { hooks: ['new'] }
const configure = (id, configuration) => `{"id":${id},"configure":${JSON.stringify(configuration)}}\n`

function withConfiguration(configuration = NEW) {
  const backlog = new Backlog(64 * MIB)
  backlog.configuration = OLD
  backlog.add(1, '<', 'a', '>')
  backlog.addConfiguration(2, configuration)
  backlog.add(3, '<', 'b', '>')
  return backlog
}

test('what is behind a configuration waits for its answer', () => {
  const backlog = withConfiguration()
  assert.deepEqual(drain(backlog), ['<a>', configure(2, NEW)])
  assert.equal(backlog.waitsFor(2), true)
  assert.deepEqual([backlog.count, backlog.bytes], [2, 6], 'a configuration is no event')
  backlog.settle(true)
  assert.deepEqual(drain(backlog), ['<b>'])
  assert.equal(backlog.configuration, OLD, 'the event before it may have to be written again')
  backlog.confirm(1)
  assert.equal(backlog.configuration, NEW)
  backlog.rewind()
  assert.deepEqual(drain(backlog), ['<b>'])
})

test('a refused configuration is gone', () => {
  const backlog = withConfiguration()
  drain(backlog)
  backlog.settle(false)
  assert.deepEqual(drain(backlog), ['<b>'])
  backlog.rewind()
  assert.deepEqual(drain(backlog), ['<a><b>'])
  backlog.confirm(3)
  assert.deepEqual([backlog.configuration, backlog.count], [OLD, 0])
})

test('a configuration that is taken back is followed by the one before it, unless it was not written', () => {
  const unwritten = withConfiguration()
  unwritten.revoke(2, 4)
  assert.deepEqual(drain(unwritten), ['<a><b>'])

  const written = withConfiguration()
  drain(written)
  written.revoke(2, 4)
  assert.deepEqual(drain(written), [configure(4, OLD)])
  written.settle(true)
  assert.deepEqual(drain(written), ['<b>'])
  written.confirm(3)
  assert.deepEqual([written.configuration, written.count], [OLD, 0])
})

test('a configuration that is taken back while it is being written is finished first', () => {
  const long = { hooks: ['x'.repeat(MIB)] }
  const backlog = withConfiguration(long)
  const writes = [backlog.next(), backlog.next()]
  assert.equal(backlog.midLine, true)
  backlog.revoke(2, 4)
  writes.push(...drain(backlog))
  assert.equal(writes.join(''), `<a>${configure(2, long)}`)
  backlog.settle(true)
  assert.deepEqual(drain(backlog), [configure(4, OLD)])
  backlog.settle(true)
  assert.deepEqual(drain(backlog), ['<b>'])
  backlog.confirm(1)
  assert.equal(backlog.configuration, OLD)
})

test('a second configuration is taken back to the first', () => {
  const backlog = withConfiguration()
  backlog.addConfiguration(4, { hooks: ['newer'] })
  drain(backlog)
  backlog.settle(true)
  drain(backlog)
  backlog.revoke(4, 5)
  assert.deepEqual(drain(backlog), [configure(5, NEW)])
})
