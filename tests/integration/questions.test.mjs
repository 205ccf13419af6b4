// What is asked while events come and go: looked up beside the loop, answered in order, within limits, and given up at the stop.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { httpTarget } from '../lib/program.mjs'
import { event, hook, serve } from '../lib/serve.mjs'

const EVENTS = 300
const hooks = url => [hook('*', 'post', url)]

async function filled(t, target, options) {
  const s = await serve(t, hooks(target.url), options)
  const source = await s.source()
  for (let id = 1; id <= EVENTS; id++) source.send({ id, event: event('vm.start', 'post', { callId: `c${id}` }) })
  await source.answer(EVENTS)
  return { s, source }
}

const ask = (source, from, count) => {
  let lines = ''
  for (let id = from; id < from + count; id++)
    lines += JSON.stringify({ id, call: 'deliveries', params: { limit: 100, method: 'nothing.*' } }) + '\n'
  source.raw(lines)
}

test('more questions than may wait: the first are answered in order, the others refused, and events go on', async t => {
  const target = await httpTarget(t)
  const { s, source } = await filled(t, target, { preset: 'tsan' })
  ask(source, 1000, 2000)
  source.send({ id: 3000, event: event('vm.stop') })
  assert.equal((await source.answer(3000)).accepted, true)
  await source.find('the last answer', () => source.lines.filter(({ id }) => id >= 1000 && id < 3000).length === 2000)
  const answers = source.lines.filter(({ id }) => id >= 1000 && id < 3000)
  const good = answers.filter(({ result }) => result).map(({ id }) => id)
  const refused = answers.filter(({ error }) => error)
  assert.ok(good.length >= 256, `${good.length} were answered`)
  assert.deepEqual(good, [...good].sort((a, b) => a - b))
  assert.ok(refused.length > 0)
  for (const { error } of refused) assert.match(error.message, /too many questions/)
  assert.equal((await source.call('stats')).events.received, EVENTS + 1)
  await target.count(EVENTS + 1)
  assert.deepEqual(await s.stop('SIGTERM'), { code: 0, signal: null })
})

test('what is being sent is shown as such', async t => {
  let release
  const held = new Promise(resolve => (release = resolve))
  const target = await httpTarget(t, async (request, res) => (await held, res.end()))
  const s = await serve(t, hooks(target.url))
  const source = await s.source()
  source.send({ id: 1, event: event('vm.start') })
  await target.count(1)
  const { deliveries } = await source.call('deliveries', { limit: 1 })
  assert.equal(deliveries[0].status, 'sending')
  assert.equal((await source.call('delivery', { id: deliveries[0].id })).status, 'sending')
  release()
  await s.settled('delivered', 1)
})

test('a stop while questions wait', async t => {
  const target = await httpTarget(t)
  const { s, source } = await filled(t, target, { preset: 'asan-ubsan' })
  ask(source, 1000, 200)
  source.send({ id: 2000, call: 'retry', params: { dead: true } })
  await source.find('the first answer', ({ id }) => id === 1000)
  assert.deepEqual(await s.stop('SIGTERM'), { code: 0, signal: null }, s.process.said())
})

test('a parameter that a call does not have changes nothing', async t => {
  const target = await httpTarget(t, (request, res) => res.writeHead(410).end())
  const s = await serve(t, hooks(target.url))
  const source = await s.source()
  source.send({ id: 1, event: event('vm.start') })
  await s.settled('dead', 1)
  const refused = [
    ['prune', { befor: 1 }],
    ['prune', { before: 9e15, all: true }],
    ['retry', { dead: false }],
    ['retry', { before: 1 }],
    ['retry', { status: 'waiting' }],
    ['test', { hooks: ['x'] }],
    ['test', { hooks: [0, 1] }],
    ['test', { hooks: 0 }],
    ['test', { hook: 0 }],
    ['stats', { all: true }],
    ['delivery', { id: 1, body: true }],
  ]
  for (const [call, params] of refused)
    await assert.rejects(source.call(call, params), { code: 'EINVAL' }, `${call} ${JSON.stringify(params)}`)
  assert.equal((await s.settled('dead', 1)).length, 1)
  assert.deepEqual(await source.call('prune', { before: 9e15 }), { deleted: 1 })
})
