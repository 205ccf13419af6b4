// Disks and processes that fail: what was acknowledged is delivered, and what goes wrong is told.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readdirSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { cleanUp, httpTarget, start, until } from '../lib/program.mjs'
import { event, hook, serve, Serve } from '../lib/serve.mjs'

test('kill -9 again and again under load: every acknowledged event arrives, each under one id', async t => {
  const target = await httpTarget(t)
  const s = await serve(t, [])
  const acknowledged = new Set()
  const hello = { source: 'xo', session: 's1', acks: 'cumulative' }
  const configure = { hooks: [hook('*', 'post', target.url, { advanced: { retry: { schedule: [0, 0.2, 0.2, 0.2, 1, 1, 1] } } })] }
  let id = 0
  for (let round = 0; round < 6; round++) {
    const source = await s.source(hello)
    id = Math.max(id, source.hello.acceptedUpTo)
    source.send({ id: ++id, configure })
    const first = id
    for (let i = 0; i < 300; i++) source.send({ id: ++id, event: event('vm.start', 'post', { callId: `c${id}` }) })
    const enough = first + 50 + 40 * round
    await source.find('some acknowledgements', line => line.acceptedUpTo >= enough)
    await s.stop('SIGKILL')
    const upTo = Math.max(...source.lines.map(line => line.acceptedUpTo ?? 0))
    for (let n = first + 1; n <= upTo; n++) acknowledged.add(`c${n}`)
    await source.closed
    await s.start()
  }
  const source = await s.source(hello)
  source.send({ id: ++id, configure })
  await until('all have arrived', () => {
    const arrived = new Set(target.requests.map(({ json }) => json.callId))
    return [...acknowledged].every(call => arrived.has(call))
  })
  const ids = new Map()
  for (const { json, headers } of target.requests) {
    const known = ids.get(json.callId) ?? headers['webhook-id']
    assert.equal(headers['webhook-id'], known, 'a call sent again is the same delivery')
    ids.set(json.callId, known)
  }
  assert.ok(acknowledged.size > 300)
})

test('SIGTERM ends gently: status 0, what runs is finished, nothing is lost', async t => {
  const target = await httpTarget(t, (request, res) => setTimeout(() => res.end(), 300))
  const s = await serve(t, [hook('*', 'post', target.url)], { preset: 'asan-ubsan' })
  const source = await s.source()
  for (let id = 1; id <= 30; id++) source.send({ id, event: event('vm.start', 'post', { callId: `c${id}` }) })
  await source.answer(30)
  await target.count(1)
  assert.deepEqual(await s.stop('SIGTERM'), { code: 0, signal: null }, s.process.said())
  const before = (await s.log()).filter(({ status }) => status === 'delivered').length
  assert.ok(before >= 1 && before < 30)
  await s.start()
  await s.settled('delivered', 30)
  assert.equal(new Set(target.requests.map(({ headers }) => headers['webhook-id'])).size, 30)
  assert.equal(target.requests.length, 30)
})

test('a full disk: delivered from memory, told loudly, and written when there is room', async t => {
  const target = await httpTarget(t)
  const s = new Serve(t, [hook('*', 'post', target.url)])
  // files may not grow beyond 300 KB: to the program that is a disk that refuses
  const script = 'ulimit -S -f 300; trap "" XFSZ; exec "$@"'
  const { program } = await import('../lib/program.mjs')
  s.process = start(t, ['-c', script, 'sh', program(), 'serve', '--data', s.data, '--config', s.config], { command: 'bash' })
  await s.process.waitFor(/ serves, process /)
  const source = await s.source()
  let id = 0
  const pad = 'x'.repeat(20_000)
  while (!source.lines.some(line => line.durable === false) && id < 200) {
    source.send({ id: ++id, event: event('vm.start', 'post', { callId: `c${id}`, pad }) })
    await source.answer(id)
  }
  assert.ok(id < 200, 'the disk never refused')
  await s.process.waitFor(/can't be written/)
  const stats = await source.call('stats')
  assert.equal(stats.store.durable, false)
  assert.ok(stats.store.trouble.length > 5)
  const { stdout } = await s.command('stats')
  assert.match(stdout, /THE OUTBOX CAN'T BE WRITTEN/)
  await target.count(id)
  execFileSync('prlimit', ['--pid', String(s.process.pid), '--fsize=unlimited'])
  await s.process.waitFor(/is written again/)
  await until('it says so', async () => (await source.call('stats')).store.durable)
  source.send({ id: ++id, event: event('vm.start', 'post', { callId: `c${id}` }) })
  assert.deepEqual(await source.answer(id), { id, accepted: true })
  await s.settled('delivered', id)
})

test('a damaged database is set aside and named, and a new one begun', async t => {
  const target = await httpTarget(t)
  const s = await serve(t, [hook('*', 'post', target.url)])
  await s.stop('SIGTERM')
  const file = openSync(join(s.data, 'outbox.db'), 'r+')
  writeSync(file, Buffer.alloc(4096, 'garbage '), 0, 4096, 0)
  closeSync(file)
  await s.start()
  await s.process.waitFor(/set aside as .*outbox\.db\.damaged-/)
  assert.ok(readdirSync(s.data).some(name => name.startsWith('outbox.db.damaged-')))
  const source = await s.source()
  source.send({ event: event('vm.start') })
  await target.next()
  await s.settled('delivered', 1)
})

test('an outbox of an older version: commands say what to do, and serve brings it up to date', async t => {
  const target = await httpTarget(t)
  const s = await serve(t, [hook('*', 'post', target.url)])
  const source = await s.source()
  source.send({ event: event('vm.start') })
  await s.settled('delivered', 1)
  await s.stop('SIGTERM')
  const older = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.executescript('ALTER TABLE meta DROP COLUMN clock_ms; PRAGMA user_version = 1')`
  execFileSync('python3', ['-c', older, join(s.data, 'outbox.db')])
  for (const command of [['log'], ['stats'], ['show', '1']]) {
    const { status, stderr } = await s.command(...command)
    assert.notEqual(status, 0)
    assert.match(stderr, /older version.*xo-hooks serve/, command[0])
  }
  await s.start()
  assert.equal((await s.log()).length, 1)
})

test('a target that lies, stalls and babbles harms nobody', async t => {
  const { createServer } = await import('node:net')
  const answers = [
    'HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\nshort',
    'garbage\r\n\r\n',
    `HTTP/1.1 200 OK\r\n${'X-Long: '.padEnd(70_000, 'y')}\r\n\r\n`,
    'HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n',
    'HTTP/1.1 307 Loop\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n',
    `HTTP/1.1 500 No\r\nConnection: close\r\n\r\n${'z'.repeat(500_000)}`,
    '',
  ]
  const ports = await Promise.all(
    answers.map(
      answer =>
        new Promise(resolve => {
          const server = createServer(socket => {
            socket.on('error', () => {})
            socket.once('data', () => (answer === '' ? socket.destroy() : socket.end(answer)))
          })
          cleanUp(t, () => server.close())
          server.listen(0, '127.0.0.1', () => resolve(server.address().port))
        })
    )
  )
  const good = await httpTarget(t)
  const once = { advanced: { timeout: 2, retry: { schedule: [0] } } }
  const s = await serve(t, [...ports.map(port => hook('*', 'post', `http://127.0.0.1:${port}/`, once)), hook('*', 'post', good.url)], {
    preset: 'asan-ubsan',
  })
  const source = await s.source()
  source.send({ event: event('vm.start') })
  await good.next()
  const ended = await until('all have ended', async () => {
    const log = await s.log()
    return log.length === answers.length + 1 && log.every(({ status }) => status === 'dead' || status === 'delivered') && log
  })
  for (const { status, lastError, url } of ended)
    if (status === 'dead') assert.ok(lastError.length > 5, `${url}: ${lastError}`)
  assert.ok(ended.filter(({ status }) => status === 'dead').length >= 6, JSON.stringify(ended.map(({ url, status, lastError }) => [url, status, lastError])))
  assert.deepEqual(await s.stop('SIGTERM'), { code: 0, signal: null }, s.process.said())
})
