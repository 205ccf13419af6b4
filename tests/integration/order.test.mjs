// A post event is never sent before the first attempt of its pre event was made, also when its source waits for it.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { httpTarget, until } from '../lib/program.mjs'
import { event, hook, serve } from '../lib/serve.mjs'

// A target that answers when it is told to.
async function heldBack(t) {
  const open = []
  let free = false
  const target = await httpTarget(t, (request, res) => (free ? res.end() : open.push({ request, res })))
  const answer = fits => {
    const index = open.findIndex(({ request }) => fits(request.json))
    assert.ok(index >= 0)
    open.splice(index, 1)[0].res.end()
  }
  const release = () => {
    free = true
    for (const { res } of open.splice(0)) res.end()
  }
  return Object.assign(target, { answer, release })
}

const isOf = (callId, type) => json => json.callId === callId && json.type === type
const position = (target, callId, type) => target.requests.findIndex(({ json }) => isOf(callId, type)(json))
const settledOf = async (source, id) => (await source.find(`settled ${id}`, line => line.id === id && line.settled)).settled

// Two hooks of one address: nobody waits for the first one's pre events, somebody does for the second one's post events.
const hooks = url => [hook('*', 'pre', url), hook('vm.stop', 'post', url, { waitForResponse: true })]

test('a pre event that is not committed yet goes before its post event', async t => {
  const target = await heldBack(t)
  const s = await serve(t, hooks(target.url))
  const source = await s.source()
  const lines = [
    { id: 1, event: event('vm.stop', 'pre', { callId: 'c1' }) },
    { id: 2, wait: true, event: event('vm.stop', 'post', { callId: 'c1' }) },
  ]
  source.raw(lines.map(line => JSON.stringify(line) + '\n').join(''))
  await target.count(1)
  await source.answer(2)
  assert.equal(target.requests[0].json.type, 'pre')
  assert.equal(target.requests.length, 1, 'the post event waits for the answer to the pre event')
  target.answer(isOf('c1', 'pre'))
  await target.count(2)
  target.release()
  assert.equal((await settledOf(source, 2))[0].ok, true)
})

test('a pre event that waits for a place goes before its post event, and both before others', async t => {
  const target = await heldBack(t)
  const s = await serve(t, hooks(target.url))
  const source = await s.source()
  for (let id = 1; id <= 40; id++) source.send({ id, event: event('vm.start', 'pre', { callId: `c${id}` }) })
  source.send({ id: 41, event: event('vm.stop', 'pre', { callId: 'c41' }) })
  await source.answer(41)
  const busy = (await target.count(4)).length
  source.send({ id: 42, wait: true, event: event('vm.stop', 'post', { callId: 'c41' }) })
  await target.count(busy + 1)
  assert.ok(isOf('c41', 'pre')(target.requests[busy].json), target.requests[busy].text)
  target.answer(isOf('c41', 'pre'))
  await target.count(busy + 2)
  assert.ok(position(target, 'c41', 'post') > position(target, 'c41', 'pre'))
  target.release()
  assert.equal((await settledOf(source, 42))[0].ok, true)
  await s.settled('delivered', 42)
})

test('a post event whose pre event may be in the outbox takes its turn, and its source is told at once', async t => {
  const target = await heldBack(t)
  const s = await serve(t, hooks(target.url))
  const source = await s.source()
  const many = 5000 // more than a target has in memory
  for (let id = 1; id <= many; id++) source.send({ id, event: event('vm.start', 'pre', { callId: `c${id}` }) })
  source.send({ id: many + 1, event: event('vm.stop', 'pre', { callId: 'last' }) })
  await source.answer(many + 1)
  source.send({ id: many + 2, wait: true, event: event('vm.stop', 'post', { callId: 'last' }) })
  const [told] = await settledOf(source, many + 2)
  assert.equal(told.ok, false)
  assert.match(told.error, /behind/)
  target.release()
  await target.count(many + 2)
  assert.ok(position(target, 'last', 'post') > position(target, 'last', 'pre'))
  await until('all is delivered', async () => (await source.call('stats')).deliveries.pending === 0)
})
