// Networks that fail in other ways than by an answer.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'

import { fullPort, httpTarget, root, until } from '../lib/program.mjs'
import { event, hook, serve } from '../lib/serve.mjs'

test('a target that takes no connection is told, and harms nobody', async t => {
  const port = await fullPort(t)
  const good = await httpTarget(t)
  const impatient = { advanced: { timeout: 0.2, retry: { schedule: [0, 0.1, 0.1] } } }
  const s = await serve(t, [hook('*', 'post', `http://127.0.0.1:${port}/`, impatient), hook('*', 'post', good.url)], { preset: 'asan-ubsan' })
  const source = await s.source()
  for (let id = 1; id <= 4; id++) source.send({ id, event: event('vm.start', 'post', { callId: `c${id}` }) })
  await source.answer(4)
  await until('it is told', async () => (await s.log()).some(({ lastError }) => lastError?.includes('no connection within 0.2 s')))
  await until('it is held', async () => (await s.json('stats')).targets.some(({ held }) => held)) // after five such attempts
  source.send({ id: 5, event: event('vm.start', 'post', { callId: 'c5' }) })
  await good.count(5)
  await until('it goes on', async () => (await source.call('ping')).version)
  assert.deepEqual(await s.stop('SIGTERM'), { code: 0, signal: null }, s.process.said())
})

test('a name server that does not answer holds up nobody else', async t => {
  const good = await httpTarget(t)
  const advanced = { timeout: 0.3, retry: { schedule: [0, 0.1] } }
  const s = await serve(t, [hook('*', 'post', 'http://example.silent/', { advanced }), hook('*', 'post', good.url)], {
    env: { LD_PRELOAD: join(root, 'build/release/tests/faults/preload_names.so') },
  })
  const source = await s.source()
  source.send({ id: 1, event: event('vm.start', 'post', { callId: 'c1' }) })
  await until('it is told', async () => (await s.log()).some(({ lastError }) => lastError?.includes('the host name was not resolved within 0.3 s')))
  source.send({ id: 2, event: event('vm.start', 'post', { callId: 'c2' }) })
  await good.count(2)
  await until('it goes on', async () => (await source.call('ping')).version)
  assert.deepEqual(await s.stop('SIGTERM'), { code: 0, signal: null }, s.process.said())
})

// A target with all that may run at once under way: `answers` are what it gives to them, one after the other, then 200.
async function busy(t, answers) {
  const waiting = []
  let isOpen = true
  const target = await httpTarget(t, (request, res) => (isOpen ? res.end() : waiting.push(res)))
  const s = await serve(t, [hook('*', 'post', target.url, { advanced: { timeout: 60 } })])
  const source = await s.source()
  const send = (from, to) => {
    for (let id = from; id <= to; id++) source.send({ id, event: event('vm.start', 'post', { callId: `c${id}` }) })
  }
  send(1, 100) // the window opens
  await target.count(100)
  isOpen = false
  send(101, 160)
  await until('16 at once', () => waiting.length === 16)
  isOpen = true
  for (const res of waiting.splice(0)) answers(res)
  return { s, target }
}

test('a moment of trouble while many attempts run is one trouble, not many', async t => {
  const { s, target } = await busy(t, res => ((res.statusCode = 503), res.end()))
  await until('the next second is a probe', () => target.requests.length > 116)
  await s.settled('delivered', 160)
})

test('a held target whose last attempts still hang is waited for without a busy loop', async t => {
  const hanging = []
  const { s } = await busy(t, res => (hanging.length < 3 ? hanging.push(res) : ((res.statusCode = 503), res.end())))
  await until('it is held', async () => (await s.json('stats')).targets[0].held)
  await until('a probe would be due', async () => (await s.json('stats')).targets[0].nextProbeInMs === 0)
  const before = s.process.wakeUps()
  await new Promise(resolve => setTimeout(resolve, 1000)) // a busy loop makes some 900 of them
  const count = s.process.wakeUps() - before
  assert.ok(count < 200, `${count} wake-ups in a second`)
  for (const res of hanging) res.end()
  await s.settled('delivered', 160)
})
