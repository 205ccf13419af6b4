// `log --follow` shows all that comes and changes, however much at once, and outlives the program that it asks.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { httpTarget, start } from '../lib/program.mjs'
import { event, hook, serve, Serve } from '../lib/serve.mjs'

const lines = log => log.stdout.map(line => JSON.parse(line))

async function following(t, s, ...args) {
  const log = start(t, ['log', '--data', s.data, '--follow', '--json', ...args])
  await log.waitFor(/"method":"vm\.first"/) // what was there is printed: it follows from here
  return log
}

async function first(t, target) {
  const s = await serve(t, [hook('*', 'post', target.url)])
  const source = await s.source()
  source.send({ event: event('vm.first') })
  await s.settledAll(1)
  return { s, source }
}

test('a burst of more than a page shows whole, each until it is delivered', async t => {
  const COUNT = 6000
  const target = await httpTarget(t)
  const { s, source } = await first(t, target)
  const log = await following(t, s)
  for (let id = 1; id <= COUNT; id++) source.send({ id, event: event('vm.start', 'post', { callId: `b${id}` }) })
  const delivered = new Set()
  let read = 0
  await log.waitUntil(
    'all deliveries',
    () => {
      for (; read < log.stdout.length; read++) {
        const { id, status } = JSON.parse(log.stdout[read])
        if (status === 'delivered') delivered.add(id)
      }
      return delivered.size === COUNT + 1
    },
    120_000
  )
  const seen = new Map()
  for (const { id, status, attempts } of lines(log)) {
    const state = `${status} ${attempts}`
    assert.notEqual(seen.get(id), state, `${id} is printed twice as ${state}`)
    seen.set(id, state)
  }
})

test('a status that is filtered is seen when it comes', async t => {
  let status = 500
  const target = await httpTarget(t, (request, res) => res.writeHead(request.json.method === 'vm.first' ? 410 : status).end())
  const s = await serve(t, [hook('vm.first', 'post', target.url), hook('vm.start', 'post', target.url + 'x', { advanced: { retry: { schedule: [0, 1] } } })])
  const source = await s.source()
  source.send({ event: event('vm.first') })
  await s.settled('dead', 1)
  const log = await following(t, s, '--status', 'dead', '--method', 'vm.*')
  source.send({ event: event('host.stop') })
  source.send({ event: event('vm.start') })
  await log.waitFor(/"method":"vm\.start"/)
  assert.deepEqual(lines(log).map(({ method, status }) => `${method} ${status}`), ['vm.first dead', 'vm.start dead'])
})

test('the program ends and comes back', async t => {
  const target = await httpTarget(t)
  const { s } = await first(t, target)
  const log = await following(t, s)
  await s.stop('SIGTERM')
  await log.waitFor(/xo-hooks log: the program is gone/)
  const again = await new Serve(t, [hook('*', 'post', target.url)], { folder: s.folder }).start()
  const source = await again.source()
  source.send({ event: event('vm.second') })
  await log.waitFor(/the program is back/)
  await log.waitFor(/"method":"vm\.second".*"status":"delivered"/)
  assert.deepEqual(await log.stop('SIGINT'), { code: null, signal: 'SIGINT' })
})
