// Networks that fail in other ways than by an answer.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { httpTarget, start, until } from '../lib/program.mjs'
import { event, hook, serve } from '../lib/serve.mjs'

// A port that takes no connection and refuses none: its queue is full.
async function fullPort(t) {
  const script = `
import socket, sys
listener = socket.socket()
listener.bind(('127.0.0.1', 0))
listener.listen(0)
clients = [socket.socket() for _ in range(3)]
for client in clients:
    client.setblocking(False)
    client.connect_ex(listener.getsockname())
print('port', listener.getsockname()[1], flush=True)
sys.stdin.read()`
  const [, port] = await start(t, ['-c', script], { command: 'python3' }).waitFor(/port (\d+)/)
  return Number(port)
}

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
