// Connections that end badly, and a system that has none left.
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { test } from 'node:test'

import { cleanUp, httpTarget, start, until } from '../lib/program.mjs'
import { event, hook, Serve, serve } from '../lib/serve.mjs'

const COUNT = 40

const sendMany = (source, count) => {
  for (let id = 1; id <= count; id++) source.send({ id, event: event('vm.start', 'post', { callId: `c${id}` }) })
}

// Answers each request on a raw socket; `after(socket, n)` does something to the connection then, the n-th of its requests.
async function rawTarget(t, after) {
  const server = createServer(socket => {
    let text = ''
    let count = 0
    socket.on('error', () => {})
    socket.setEncoding('utf8').on('data', chunk => {
      text += chunk
      const end = text.indexOf('\r\n\r\n')
      if (end < 0 || text.length - end - 4 < Number(text.match(/content-length: (\d+)/i)[1])) return
      text = ''
      after(socket, ++count, () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
    })
  })
  cleanUp(t, () => server.close())
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${server.address().port}/`
}

const ONCE = { advanced: { retry: { schedule: [0] } } }

test('a complete answer counts, also when the connection is reset behind it', async t => {
  const url = await rawTarget(t, (socket, n, answer) => (answer(), socket.resetAndDestroy()))
  const s = await serve(t, [hook('*', 'post', url, ONCE)])
  sendMany(await s.source(), COUNT)
  await s.settled('delivered', COUNT)
})

test('kept connections that are dead when they are used again burn no attempt, however many', async t => {
  const url = await rawTarget(t, (socket, n, answer) => (n === 1 ? answer() : socket.resetAndDestroy()))
  const s = await serve(t, [hook('*', 'post', url, ONCE)])
  const source = await s.source()
  for (let id = 1; id <= COUNT; id++) {
    source.send({ id, event: event('vm.start', 'post', { callId: `c${id}` }) })
    await s.settled('delivered', id)
  }
})

test('without descriptors nothing is burnt and nobody is blamed; it goes on when there are some', async t => {
  const target = await httpTarget(t)
  const s = new Serve(t, [hook('*', 'pre/post', target.url)])
  await s.start()
  const source = await s.source()
  await source.call('ping') // it has accepted the connection
  await start(t, ['--pid', String(s.process.pid), '--nofile=1:'], { command: 'prlimit' }).exit // what is open stays open
  source.send({ id: 1, event: event('vm.start', 'pre') })
  source.send({ id: 2, event: event('vm.start', 'post') })
  await s.process.waitFor(/deliveries are put off: not sent: no socket could be opened here: Too many open files/)
  await source.answer(2)
  assert.equal((await source.call('stats')).targets[0].held, false)
  await start(t, ['--pid', String(s.process.pid), '--nofile=1024:'], { command: 'prlimit' }).exit
  const delivered = await s.settled('delivered', 2)
  assert.deepEqual(delivered.map(({ attempts }) => attempts), [1, 1])
  assert.deepEqual(target.requests.map(({ json }) => json.type), ['pre', 'post'])
})

test('targets that never answer do not use up the places of one that does', async t => {
  const SILENT = 70
  let silent = 0
  const { port } = (await httpTarget(t, () => silent++, { host: '0.0.0.0' })).server.address()
  const good = await httpTarget(t)
  // one server, and to the program as many targets as it has names
  const hooks = Array.from({ length: SILENT }, (_, i) => hook('vm.start', 'post', `http://127.0.1.${i + 1}:${port}/`, { advanced: { timeout: 60 } }))
  const s = await serve(t, [...hooks, hook('vm.stop', 'post', good.url)])
  const source = await s.source()
  sendMany(source, 4)
  await until('all ordinary places are taken', () => silent >= 256)
  source.send({ id: 5, event: event('vm.stop', 'post', { callId: 'c5' }) })
  await good.count(1)
})
