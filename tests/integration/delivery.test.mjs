// Events in, web hooks out: the real program, real sockets, real HTTP.
import assert from 'node:assert/strict'
import { createServer as createTcpServer } from 'node:net'
import { test } from 'node:test'
import { Webhook } from 'standardwebhooks'

import { cleanUp, deferred, httpTarget, until } from '../lib/program.mjs'
import { event, hook, serve } from '../lib/serve.mjs'

const answer = (status, body = '', headers = {}) => (request, res) => res.writeHead(status, headers).end(body)

test('an event is accepted, delivered byte for byte, and shown', async t => {
  const target = await httpTarget(t)
  const s = await serve(t, [hook('vm.*', 'pre/post', `${target.url}x?y=1`, { name: 'Machines' })])
  const source = await s.source()
  const text =
    '{ "type":"post", "method":"vm.start","params":{"n":12345678901234567890,"e":1E+2,"s":"\\ud800","k":1,"k":2},"mine":[ ] }'
  source.raw(`{"id":1,"event":${text}}\n`)
  assert.deepEqual(await source.answer(1), { id: 1, accepted: true })
  const request = await target.next()
  assert.equal(request.method, 'POST')
  assert.equal(request.url, '/x?y=1')
  assert.equal(request.text, text)
  assert.equal(request.headers['content-type'], 'application/json')
  assert.match(request.headers['user-agent'], /^xo-hooks\/\d+\.\d+\.\d+$/)
  assert.match(request.headers['webhook-id'], /^msg_[0-9a-f]{32}$/)
  assert.ok(Math.abs(request.headers['webhook-timestamp'] - Date.now() / 1000) < 5)
  assert.equal(request.headers['webhook-signature'], undefined)
  const [delivery] = await s.settled('delivered', 1)
  assert.equal(delivery.id, request.headers['webhook-id'])
  const shown = await s.json('show', delivery.id)
  assert.equal(shown.body, text)
  assert.equal(shown.attempts[0].status, 200)
  assert.equal(shown.hook, 'Machines')
})

test('signatures are those of Standard Webhooks, also during rotation', async t => {
  const target = await httpTarget(t)
  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
  const previous = 'plain text 🔑'
  const s = await serve(t, [
    hook('*', 'post', target.url, { advanced: { passphrase: secret, previousPassphrase: previous, token: 'tok', headers: [{ name: 'X-Site', value: 'paris' }] } }),
  ])
  const source = await s.source()
  source.send({ event: event('vm.start', 'post', { note: 'ünïcode ✓' }) })
  const { text, headers } = await target.next()
  assert.equal(headers.authorization, 'Bearer tok')
  assert.equal(headers['x-site'], 'paris')
  for (const key of [secret, Buffer.from(previous).toString('base64')]) assert.ok(new Webhook(key).verify(text, headers))
  assert.throws(() => new Webhook(secret).verify(text + ' ', headers))
  const shown = await s.json('show', headers['webhook-id'])
  assert.ok(!JSON.stringify(shown).includes('tok"'), 'secrets are not shown')
})

test('post never overtakes the first attempt of pre', async t => {
  const target = await httpTarget(t, (request, res) => setTimeout(() => res.end(), request.json.type === 'pre' ? 150 : 0))
  const s = await serve(t, [hook('vm.start', 'pre/post', target.url)])
  const source = await s.source()
  source.send({ event: event('vm.start', 'pre') })
  source.send({ event: event('vm.start', 'post') })
  const [pre, post] = await target.count(2)
  assert.equal(pre.json.type, 'pre')
  assert.ok(post.at - pre.at >= 140, `post came ${post.at - pre.at} ms after pre`)
})

test('failures are tried again on the schedule, with the same id and bytes', async t => {
  let n = 0
  const target = await httpTarget(t, (request, res) => answer(++n < 3 ? 500 : 204, 'no')(request, res))
  const s = await serve(t, [hook('*', 'post', target.url, { advanced: { retry: { schedule: [0, 0.2, 0.2, 0.2] } } })])
  const source = await s.source()
  source.send({ event: event('vm.start') })
  const [first, second, third] = await target.count(3)
  assert.equal(second.headers['webhook-id'], first.headers['webhook-id'])
  assert.equal(third.text, first.text)
  const [{ id }] = await s.settled('delivered', 1)
  const { attempts } = await s.json('show', id)
  assert.deepEqual(attempts.map(({ status }) => status), [500, 500, 204])
  assert.equal(attempts[0].answer, 'no')
  assert.equal(attempts[0].fault, 'target')
})

test('what is used up is dead, and a retry by hand sends it again', async t => {
  let well = false
  const target = await httpTarget(t, (request, res) => answer(well ? 200 : 400)(request, res))
  const s = await serve(t, [hook('*', 'post', target.url, { advanced: { retry: { schedule: [0, 0.05] } } })])
  const source = await s.source()
  source.send({ event: event('vm.start') })
  await s.settled('dead', 1)
  assert.equal(target.requests.length, 2)
  well = true
  assert.equal((await s.json('retry', '--dead')).retried, 1)
  const [{ id }] = await s.settled('delivered', 1)
  assert.equal(id, target.requests[0].headers['webhook-id'])
  const { targets, deliveries } = await s.json('stats')
  assert.deepEqual([targets[0].pending, deliveries.pending], [0, 0])
})

test('410 stops the hook; a test that succeeds starts it again', async t => {
  let gone = true
  const target = await httpTarget(t, (request, res) => answer(gone ? 410 : 200)(request, res))
  const s = await serve(t, [hook('*', 'post', target.url)])
  const source = await s.source()
  source.send({ id: 1, event: event('vm.start') })
  await s.settled('dead', 1)
  source.send({ id: 2, event: event('vm.start') })
  await s.settled('dead', 2)
  assert.equal(target.requests.length, 1, 'nothing is sent to a stopped hook')
  gone = false
  const { results } = await source.call('test', {})
  assert.equal(results[0].ok, true)
  source.send({ id: 3, event: event('vm.start') })
  await s.settled('delivered', 1)
})

test('307 and 308 are followed with the body, 301 to 303 are failures that name the address', async t => {
  const end = await httpTarget(t)
  const hop = await httpTarget(t, (request, res) => answer(Number(request.url.slice(1)), '', { location: `${end.url}moved` })(request, res))
  const once = { advanced: { retry: { schedule: [0] } } }
  const s = await serve(t, [307, 308, 301, 302, 303].map(code => hook('*', 'post', `${hop.url}${code}`, once)))
  const source = await s.source()
  source.send({ event: event('vm.start') })
  await s.settled('delivered', 2)
  const dead = await s.settled('dead', 3)
  assert.equal(end.requests.length, 2)
  assert.ok(end.requests.every(({ method, json }) => method === 'POST' && json.method === 'vm.start'))
  assert.ok(dead.every(({ lastError }) => lastError.includes(`${end.url}moved`)), JSON.stringify(dead))
})

test('a redirect within the target keeps user and password, one to elsewhere does not', async t => {
  const elsewhere = await httpTarget(t)
  const target = await httpTarget(t, (request, res) => {
    const [, to] = request.url.split('?to=')
    if (to) res.writeHead(307, { location: decodeURIComponent(to) })
    res.end()
  })
  const places = ['/relative', `${target.url}absolute`, `${elsewhere.url}foreign`, target.url.replace('//', '//other:one@') + 'own']
  const at = target.url.replace('//', '//me:p%40ss@')
  const s = await serve(t, places.map(place => hook('*', 'post', `${at}?to=${encodeURIComponent(place)}`)))
  const source = await s.source()
  source.send({ event: event('vm.start') })
  await s.settled('delivered', places.length)
  const said = Object.fromEntries([...target.requests, ...elsewhere.requests].map(({ url, headers }) => [url, headers.authorization]))
  const basic = text => `Basic ${Buffer.from(text).toString('base64')}`
  assert.equal(said['/relative'], basic('me:p@ss'))
  assert.equal(said['/absolute'], basic('me:p@ss'))
  assert.equal(said['/foreign'], undefined)
  assert.equal(said['/own'], basic('other:one'))
})

test('a source that waits is answered when its hooks have answered, and not later than their timeout', async t => {
  const slow = await httpTarget(t, (request, res) => setTimeout(() => res.end('ok'), 100))
  const never = createTcpServer(socket => socket.on('error', () => {})).listen(0, '127.0.0.1')
  cleanUp(t, () => never.close())
  await new Promise(resolve => never.once('listening', resolve))
  const s = await serve(t, [
    hook('a.b', 'pre', slow.url, { waitForResponse: true, name: 'slow' }),
    hook('a.c', 'pre', `http://127.0.0.1:${never.address().port}/`, { waitForResponse: true, name: 'never', advanced: { timeout: 0.5 } }),
  ])
  const source = await s.source()
  const settledOf = async id => (await source.find(`settled ${id}`, line => line.id === id && line.settled)).settled
  source.send({ id: 1, wait: true, event: event('a.b', 'pre') })
  const [good] = await settledOf(1)
  assert.ok(good.ok && good.durationMs >= 95 && good.hook === 'slow', JSON.stringify(good))
  const begin = Date.now()
  source.send({ id: 2, wait: true, event: event('a.c', 'pre') })
  const [bad] = await settledOf(2)
  assert.equal(bad.ok, false)
  assert.ok(Date.now() - begin < 1500, `${Date.now() - begin} ms`)
  source.send({ id: 3, wait: true, event: event('nobody.hooks', 'pre') })
  assert.deepEqual(await settledOf(3), [])
})

test('the program ends gently while a source waits, and the delivery goes on at its next start', async t => {
  let quiet = true
  const target = await httpTarget(t, (request, res) => quiet || res.end())
  const s = await serve(t, [hook('a.b', 'pre', target.url, { waitForResponse: true, advanced: { timeout: 60 } })])
  const source = await s.source()
  source.send({ id: 1, wait: true, event: event('a.b', 'pre') })
  await source.answer(1)
  await target.count(1)
  const tester = await s.source()
  tester.send({ id: 2, call: 'test', params: {} })
  await target.count(2)
  assert.deepEqual(await s.stop(), { code: 0, signal: null }, s.process.said())
  const { settled } = await source.find('settled', line => line.settled)
  assert.match(settled[0].error, /the program ends/)
  const { result } = await tester.find('the result of the test', line => line.result)
  assert.match(result.results[0].error, /the program ends/)
  quiet = false
  await s.start()
  await s.settled('delivered', 1)
})

test('what a source waits for is answered also while the program ends', async t => {
  const held = deferred()
  const target = await httpTarget(t, (request, res) => held.promise.then(() => res.end()))
  const s = await serve(t, [hook('a.b', 'pre', target.url, { waitForResponse: true, advanced: { timeout: 60 } })])
  const source = await s.source()
  source.send({ id: 1, wait: true, event: event('a.b', 'pre') })
  await target.count(1)
  s.process.proc.kill('SIGTERM')
  await s.process.waitFor(/terminated: stopping/)
  held.resolve()
  const { settled } = await source.find('settled', line => line.settled)
  assert.equal(settled[0].status, 200)
  assert.deepEqual(await s.process.exit, { code: 0, signal: null }, s.process.said())
})

test('a source that waits for more hooks than an answer can list is told how many are not in it', async t => {
  const target = await httpTarget(t)
  const name = 'n'.repeat(120)
  const hooks = Array.from({ length: 6000 }, (_, i) => hook('*', 'pre', `${target.url}${i}`, { name: `${name} ${i}`, waitForResponse: true }))
  const s = await serve(t, hooks)
  const source = await s.source()
  source.send({ id: 1, event: event('a.b', 'pre') })
  const { settled, unlisted } = await source.find('settled', line => line.settled, 60_000)
  assert.equal(settled.length + unlisted, hooks.length)
  assert.ok(unlisted > 0 && settled.length > 3000)
})

test('a target that is down is held, probed, logged once each way, and nothing is burnt', async t => {
  const first = await httpTarget(t)
  const { port } = first
  await first.close()
  const s = await serve(t, [hook('*', 'post', `http://127.0.0.1:${port}/`)])
  const source = await s.source()
  for (let id = 1; id <= 40; id++) source.send({ id, event: event('vm.start', 'post', { callId: `c${id}` }) })
  await until('it is held', async () => (await s.json('stats')).targets[0]?.held)
  const back = await httpTarget(t, undefined, { port })
  await back.count(40)
  const delivered = await s.settled('delivered', 40)
  assert.equal(new Set(back.requests.map(({ headers }) => headers['webhook-id'])).size, 40)
  assert.equal(delivered.length, 40)
  const lines = s.process.stderr.filter(line => line.includes(`:${port}/`))
  assert.equal(lines.length, 2, lines.join('\n'))
})

test('a slow target holds up nobody else', async t => {
  const silent = await httpTarget(t, () => {})
  const fast = await httpTarget(t)
  const s = await serve(t, [hook('*', 'post', silent.url), hook('*', 'post', fast.url)])
  const source = await s.source()
  for (let id = 1; id <= 500; id++) source.send({ id, event: event('vm.start', 'post', { callId: `c${id}` }) })
  await fast.count(500, 5000)
  assert.ok(silent.requests.length <= 16)
})

test('a new configuration takes effect at once or not at all', async t => {
  const a = await httpTarget(t)
  const b = await httpTarget(t)
  const s = await serve(t, [hook('*', 'post', a.url)])
  const source = await s.source()
  s.write([hook('*', 'post', b.url)])
  s.process.proc.kill('SIGHUP')
  await s.process.waitUntil('the new hooks', () => s.process.stderr.filter(line => / 1 hook$/.test(line)).length === 2)
  source.send({ event: event('vm.start') })
  await b.next()
  s.write([hook('*', 'post', 'ftp://wrong/'), { x: 1 }])
  s.process.proc.kill('SIGHUP')
  await s.process.waitFor(/refused, the old one stays/)
  assert.ok(s.process.stderr.some(line => line.includes('/hooks/0/url')))
  source.send({ event: event('vm.start') })
  await b.count(2)
  assert.equal(a.requests.length, 0)
})

test('sources have hooks of their own', async t => {
  const a = await httpTarget(t)
  const b = await httpTarget(t)
  const s = await serve(t, [])
  const paris = await s.source({ source: 'paris', session: 'p1', acks: 'cumulative' })
  const rome = await s.source({ source: 'rome' })
  paris.send({ id: 1, configure: { hooks: [hook('*', 'post', a.url)] } })
  rome.send({ id: 1, configure: { hooks: [hook('*', 'post', b.url)] } })
  assert.equal((await paris.answer(1)).ok, true)
  assert.equal((await rome.answer(1)).ok, true)
  paris.send({ id: 2, event: event('vm.start') })
  rome.send({ id: 2, event: event('vm.stop') })
  assert.equal((await a.next()).json.method, 'vm.start')
  assert.equal((await b.next()).json.method, 'vm.stop')
  await paris.find('its acknowledgement', line => line.acceptedUpTo === 2)
  const { deliveries } = await paris.call('deliveries')
  assert.deepEqual(deliveries.map(({ source }) => source), ['paris'])
  rome.send({ id: 3, configure: { hooks: [hook('*', 'post', 'nowhere')] } })
  const { error } = await rome.answer(3)
  assert.equal(error.code, 'ECONFIG')
  assert.equal(error.pointer, '/hooks/0/url')
})

test('events sent again after a reconnect are not delivered twice', async t => {
  const target = await httpTarget(t)
  const s = await serve(t, [])
  const hello = { source: 'xo', session: 's1', acks: 'cumulative' }
  const first = await s.source(hello)
  first.send({ id: 1, configure: { hooks: [hook('*', 'post', target.url)] } })
  for (let id = 2; id <= 5; id++) first.send({ id, event: event('vm.start', 'post', { callId: `c${id}` }) })
  await first.find('the acknowledgement', line => line.acceptedUpTo === 5)
  first.close()
  await s.stop('SIGKILL')
  await s.start()
  const second = await s.source(hello)
  assert.equal(second.hello.acceptedUpTo, 5)
  second.send({ id: 6, configure: { hooks: [hook('*', 'post', target.url)] } })
  for (let id = 4; id <= 8; id++) if (id !== 6) second.send({ id, event: event('vm.start', 'post', { callId: `c${id}` }) })
  await second.find('the acknowledgement', line => line.acceptedUpTo === 8)
  await s.settled('delivered', 6)
  const calls = target.requests.map(({ json }) => json.callId)
  assert.deepEqual([...new Set(calls)].sort(), ['c2', 'c3', 'c4', 'c5', 'c7', 'c8'])
})

test('a second serve on the same folder is refused with the first one’s process id', async t => {
  const s = await serve(t, [])
  const { status, stderr } = await s.command('serve')
  assert.equal(status, 3)
  assert.ok(stderr.includes(`in use by process ${s.process.pid}`), stderr)
})
