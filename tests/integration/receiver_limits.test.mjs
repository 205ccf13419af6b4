// xo-hooks listen and clients that are slow, large, many, or gone.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { authority } from '../lib/certificates.mjs'
import { tempFolder, until } from '../lib/program.mjs'
import { listen, raw, rawHead, scriptFolder, signed } from '../lib/receiver.mjs'
import { event } from '../lib/serve.mjs'

const text = JSON.stringify(event('vm.start'))
const whole = (body = text, ...more) => rawHead(`Content-Length: ${Buffer.byteLength(body)}`, ...more) + body
const about = id => JSON.stringify({ ...event('vm.start'), params: { id } })

// Scripts that wait for release().
const waiting = t => {
  const go = join(tempFolder(t), 'go')
  const scripts = scriptFolder(t, { 'default-post.sh': `#!/bin/sh\nwhile ! [ -e ${go} ]; do sleep 0.05; done\n` })
  return { scripts, release: () => writeFileSync(go, '') }
}

// What a client got as its last answer: the status, and what the JSON body says.
function last(got) {
  const [, status, head, json] = got.match(/^HTTP\/1\.1 (\d+) [^\r]*\r\n(.*?)\r\n\r\n(.*)$/s) ?? assert.fail(`no answer: ${JSON.stringify(got)}`)
  assert.match(head, /^Connection: close$/im)
  assert.match(head, new RegExp(`^Content-Length: ${Buffer.byteLength(json)}$`, 'im'))
  assert.equal(JSON.parse(json).ok, false)
  return { status: Number(status), head, error: JSON.parse(json).error }
}

test('slow clients are told so and closed in time, and hold nobody up', async t => {
  const r = await listen(t, ['--no-scripts', '--header-timeout', '300ms', '--body-timeout', '600ms', '--idle-timeout', '900ms'])
  const slow = [
    raw(r.port, ''),
    raw(r.port, 'POST / HT'),
    raw(r.port, rawHead().slice(0, -2), { trickle: 'X: y\r\n' }),
    raw(r.port, `${rawHead('Content-Length: 1000000')}{`, { trickle: ' ' }),
    raw(r.port, whole()),
  ]
  for (let i = 0; i < 20; i++) assert.equal((await r.post(text)).status, 200)
  const [nothing, half, trickledHead, trickledBody, idle] = await Promise.all(slow)
  assert.equal(nothing.got, '')
  for (const { got, ms } of [half, trickledHead]) {
    assert.deepEqual([last(got).status, last(got).error], [408, 'the headers did not come within 300 ms (--header-timeout)'])
    assert.ok(ms >= 250 && ms < 5000, `${ms} ms`)
  }
  assert.deepEqual([last(trickledBody.got).status, last(trickledBody.got).error], [408, 'the body did not come within 600 ms (--body-timeout)'])
  assert.ok(trickledBody.ms >= 550 && trickledBody.ms < 5000, `${trickledBody.ms} ms`)
  assert.match(idle.got, /^HTTP\/1.1 200/)
  assert.ok(idle.ms >= 850 && idle.ms < 6000, `${idle.ms} ms`)
  await r.count('lines', line => line.refused === 408 && line.client === '127.0.0.1', 3)
})

test('the headers of a later request have the time of headers, from their first byte', async t => {
  const r = await listen(t, ['--no-scripts', '--header-timeout', '300ms', '--idle-timeout', '1h'])
  const { got } = await raw(r.port, whole(), { after: 'P' })
  assert.match(got, /^HTTP\/1\.1 200 .*HTTP\/1\.1 408 .*the headers did not come within 300 ms/s)
})

test('a request that is refused by its headers is logged at once, and answered however slow its body is', async t => {
  const r = await listen(t, ['--no-scripts', '--token', 'opensesame', '--body-cap', '64K'])
  const wrong = [401, "the bearer token is not the receiver's"]
  const refused = async (client, [status, error]) => {
    await r.line(`refused with ${status}`, line => line.refused === status && line.error === error)
    const answer = last((await client).got)
    assert.deepEqual([answer.status, answer.error], [status, error])
  }
  await refused(raw(r.port, `${rawHead('Authorization: Bearer sesame', 'Content-Length: 100')}abc`), wrong)
  await refused(raw(r.port, `${rawHead('Authorization: Bearer sesame', 'Content-Length: 1000')}abc`, { trickle: ' ' }), wrong)
  const endless = `10000\r\n${'x'.repeat(65536)}\r\n`
  await refused(raw(r.port, `${rawHead('Authorization: Bearer sesame', 'Transfer-Encoding: chunked')}${endless}`, { trickle: endless }), wrong)
  const tooMuch = [413, 'the body has more than 65536 bytes (--body-cap)']
  await refused(raw(r.port, `${rawHead('Authorization: Bearer opensesame', 'Content-Length: 99999999999')}abc`), tooMuch)
  await refused(raw(r.port, `${rawHead('Authorization: Bearer opensesame', 'Transfer-Encoding: chunked')}${endless.repeat(2)}`), tooMuch)
})

test('over TLS, too', async t => {
  const made = await authority(t)
  const { certFile, keyFile } = await made.sign('receiver', 'IP:127.0.0.1')
  const { cert: ca } = made.ca
  const r = await listen(t, ['--no-scripts', '--cert', certFile, '--key', keyFile, '--token', 'opensesame', '--header-timeout', '400ms'])
  const slow = await raw(r.port, `${rawHead('Authorization: Bearer sesame', 'Content-Length: 100')}abc`, { ca })
  assert.equal(last(slow.got).status, 401)
  const head = await raw(r.port, 'POST / HT', { ca })
  assert.equal(last(head.got).status, 408)
})

test('a request whose end can not be told is refused, and nothing after it is taken for another', async t => {
  const r = await listen(t, ['--no-scripts'])
  const chunked = `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`
  const cases = [
    [rawHead(`Content-Length: ${chunked.length + whole().length}`, 'Transfer-Encoding: chunked') + chunked, /both Content-Length and Transfer-Encoding/],
    [rawHead(`Content-Length: ${text.length}`, `Content-Length: ${text.length + whole().length}`) + text, /two different Content-Length/],
    [rawHead('Transfer-Encoding: gzip, chunked') + chunked, /the only Transfer-Encoding that is served is chunked/],
  ]
  for (const [request, why] of cases) {
    const { status, error } = last((await raw(r.port, request + whole())).got)
    assert.equal(status, 400)
    assert.match(error, why)
  }
  assert.equal((await r.post(text)).status, 200)
  const lines = await r.count('lines', () => true, 4)
  assert.deepEqual(lines.map(line => line.refused ?? line.method), [400, 400, 400, 'vm.start'])
})

test('what the HTTP library refuses by itself is in the log, with the client', async t => {
  const r = await listen(t, ['--no-scripts'])
  const cases = [
    [431, rawHead(`X: ${'y'.repeat(100_000)}`), /headers are too large/],
    [414, `POST /${'a'.repeat(100_000)} HTTP/1.1\r\n\r\n`, /request line is too long/],
    [400, `${rawHead('Transfer-Encoding: chunked')}zz\r\nabc`, /no well-formed HTTP/],
    [413, `${rawHead('Transfer-Encoding: chunked')}FFFFFFFFFFFFFFFFF\r\nabc`, /size of a chunk is too large/],
    [400, rawHead('Content-Length: -5'), /no well-formed HTTP/],
    [505, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', /HTTP\/1\.1 are spoken/],
  ]
  for (const [status, request, why] of cases) {
    const began = r.lines().length
    const { got } = await raw(r.port, request)
    if (got) assert.match(got, new RegExp(`^HTTP/1\\.1 ${status} `)) // a client that still sends may lose it
    const [line] = await r.process.waitUntil(`a line about ${status}`, () => r.lines().length > began && r.lines().slice(began))
    assert.deepEqual([line.refused, line.client], [status, '127.0.0.1'])
    assert.match(line.error, why)
  }
  const { got } = await raw(r.port, whole(), { after: `${rawHead('Transfer-Encoding: chunked')}zz\r\n` })
  assert.match(got, /^HTTP\/1\.1 200 .*HTTP\/1\.1 400 /s)
  assert.equal((await r.count('refusals with 400', line => line.refused === 400, 3)).at(-1).client, '127.0.0.1')
})

test('more connections than allowed: the idle ones go, the newcomer is served', async t => {
  const r = await listen(t, ['--no-scripts', '--connections', '20'])
  const idle = Array.from({ length: 60 }, () => raw(r.port, 'POST / HTTP/1.1\r\n'))
  const closed = await Promise.any(idle)
  if (closed.got) assert.equal(last(closed.got).status, 503)
  for (let i = 0; i < 11; i++) assert.equal((await r.post(text)).status, 200)
  await r.stop()
  await Promise.all(idle)
})

test('newcomers without a request do not cut one that is being received', async t => {
  const r = await listen(t, ['--no-scripts', '--connections', '8'])
  const body = JSON.stringify({ ...event('vm.start'), pad: 'x'.repeat(100_000) })
  const upload = raw(r.port, rawHead(`Content-Length: ${body.length}`, 'Connection: close') + body.slice(0, 10))
  await until('the connection', () => upload.socket.readyState === 'open')
  const idle = Array.from({ length: 40 }, () => raw(r.port, ''))
  let closed = 0
  for (const one of idle) one.then(() => closed++)
  await until('32 closed newcomers', () => closed >= 32)
  upload.socket.write(body.slice(10))
  assert.match((await upload).got, /^HTTP\/1\.1 200/)
  await r.stop()
  await Promise.all(idle)
})

test('all connections wait for their answers: a newcomer is told so, with a time to come back', async t => {
  const { scripts, release } = waiting(t)
  const r = await listen(t, ['--wait', '--scripts', scripts, '--connections', '3', '--jobs', '3'])
  const working = ['a', 'b', 'c'].map(id => raw(r.port, whole(about(id), 'Connection: close')))
  await r.count('taken events', line => line.method, 3)
  const { status, headers, json } = await r.post(about('d'))
  assert.deepEqual([status, headers['retry-after'], json.error], [503, '10', 'all 3 connections wait for their answers (--connections): try again later'])
  await r.line('the refusal', line => line.refused === 503 && line.error === json.error && line.client === '127.0.0.1')
  assert.equal(last((await raw(r.port, whole())).got).status, 503)
  release()
  for (const { got } of await Promise.all(working)) assert.match(got, /^HTTP\/1\.1 200/)
  assert.equal((await r.post(about('d'))).status, 200)
})

test('a flood of refusals of this kind does not flood the log', async t => {
  const { scripts, release } = waiting(t)
  const r = await listen(t, ['--wait', '--scripts', scripts, '--connections', '1'])
  const working = raw(r.port, whole(about('a'), 'Connection: close'))
  await r.line('the taken event', line => line.method)
  for (let round = 0; round < 3; round++) {
    const answers = await Promise.all(Array.from({ length: 20 }, () => raw(r.port, whole())))
    for (const { got } of answers) if (got) assert.equal(last(got).status, 503)
  }
  release()
  await working
  const lines = r.lines().filter(line => line.refused === 503).length
  assert.ok(lines >= 1 && lines < 60, `${lines} lines of 60`)
})

test('clients that have gone do not keep their connections while their requests are worked on', async t => {
  const scripts = scriptFolder(t, { 'default-post.sh': '#!/bin/sh\n[ "$XO_OBJECT_ID" = other ]\n' })
  const spool = join(tempFolder(t), 'spool')
  const r = await listen(t, ['--wait', '--spool', spool, '--serial', '--retry-wait', '1h', '--connections', '5', '--scripts', scripts])
  assert.equal((await r.post(about('o1'))).status, 500)
  for (let i = 0; i < 12; i++) {
    const gone = raw(r.port, whole(about('o1'))) // waits behind the first one, which waits for its hour
    await r.count('taken events', line => line.method, i + 2)
    gone.socket.destroy()
    await gone
  }
  assert.deepEqual((await r.post(about('other'))).json.ok, true)
  assert.equal(r.lines().filter(line => line.refused).length, 0)
  assert.equal((await r.stop()).code, 0)
})

test('--wait waits for --wait-timeout at most; the work goes on', async t => {
  const { scripts, release } = waiting(t)
  const r = await listen(t, ['--wait', '--wait-timeout', '300ms', '--scripts', scripts, '--verbose'])
  const headers = { 'webhook-id': 'msg_long' }
  const { status, json } = await r.post(text, headers)
  assert.equal(status, 504)
  assert.match(json.error, /not done within 300 ms \(--wait-timeout\); it goes on/)
  await r.line('the time limit', line => line.refused === 504)
  assert.equal((await r.post(text, headers)).status, 503)
  release()
  await r.line('the outcome', line => line.delivery === 'msg_long' && line.ok === true)
  assert.deepEqual((await r.post(text, headers)).json, { ok: true, delivery: 'msg_long', again: true })
  assert.equal((await r.stop()).code, 0)
})

test('more work than memory: 503 with a time to come back, nothing lost that was taken', async t => {
  const scripts = scriptFolder(t, { 'default-post.sh': '#!/bin/sh\nwhile [ -e "$PWD" ]; do sleep 0.05; done\n' })
  const r = await listen(t, ['--memory-cap', '1M', '--scripts', scripts, '--workdir', scripts, '--end-scripts'])
  const body = { ...event('vm.start'), pad: 'x'.repeat(200_000) }
  const statuses = []
  for (let i = 0; i < 8; i++) statuses.push(await r.post(body))
  const last = statuses.at(-1)
  assert.deepEqual([last.status, last.headers['retry-after']], [503, '10'])
  assert.ok(statuses.filter(({ status }) => status === 202).length >= 4)
})

test('large bodies that do not come to their end make room for small ones', async t => {
  const r = await listen(t, ['--no-scripts', '--secret', 'secret', '--memory-cap', '1M'])
  const head = rawHead('webhook-id: a', 'webhook-timestamp: 1', 'webhook-signature: x', 'Content-Length: 500000')
  const stalled = Array.from({ length: 4 }, () => raw(r.port, head + ' '.repeat(499_999)))
  const ended = await Promise.any(stalled)
  assert.deepEqual([last(ended.got).status, /^Retry-After: 10$/m.test(last(ended.got).head)], [503, true])
  await r.count('refusals', line => line.refused === 503 && /--memory-cap/.test(line.error), 2)
  const small = JSON.stringify({ ...event('vm.start'), pad: 'x'.repeat(200_000) }) // than those, and larger than what is left beside two of them
  for (let i = 0; i < 5; i++) assert.equal((await r.post(small, signed('secret', small))).status, 200)
  for (const { socket } of stalled) socket.destroy()
  await Promise.all(stalled)
})

test('a connection that is kept and silent costs no wake-ups', async t => {
  const r = await listen(t, ['--no-scripts', '--header-timeout', '1m', '--idle-timeout', '1m'])
  const kept = raw(r.port, whole())
  await r.line('the event', line => line.method)
  await until('the answer', () => kept.socket.bytesRead > 0)
  const before = r.process.wakeUps()
  await new Promise(resolve => setTimeout(resolve, 3000)) // what is measured
  const during = r.process.wakeUps() - before
  assert.ok(during <= 4, `${during} wake-ups in 3 s`)
  kept.socket.destroy()
  await kept
})
