// xo-hooks listen: what it prints, whom it lets in, what it refuses.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { root, run, start, tempFolder, until } from '../lib/program.mjs'
import { listen, post, raw, scriptFolder, send, signed } from '../lib/receiver.mjs'
import { event } from '../lib/serve.mjs'

const stock = readFileSync(join(root, 'tests/data/stock-plugin-requests.ndjson'), 'utf8')
  .trim()
  .split('\n')
  .map(line => JSON.parse(line))
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const OTHER = 'another secret, in plain text'

// A script that notes each event that reaches it; no test of a refusal may find a note.
const noting = t => {
  const notes = join(tempFolder(t), 'notes')
  const scripts = scriptFolder(t, { 'default-pre.sh': `#!/bin/sh\ncat >>${notes}\n`, 'default-post.sh': `#!/bin/sh\ncat >>${notes}\n` })
  return { scripts, notes: () => { try { return readFileSync(notes, 'utf8') } catch { return '' } } }
}

test("requests of the stock plugin become lines of the seed's form, on a terminal", async t => {
  const r = start(t, ['listen', '--port', '0', '--text', '--no-scripts'])
  const [, port] = await r.waitFor(/listening on http:\/\/127\.0\.0\.1:(\d+)/)
  await r.waitFor(/requests are not verified: anybody who reaches this address/)
  for (const { path, headers, body } of stock) assert.equal((await post(`http://127.0.0.1:${port}${path}`, body, headers)).status, 200)
  await r.waitUntil('a line each', () => r.stdout.length >= stock.length)
  assert.deepEqual(r.stdout.map(line => line.replace(/^\S+Z /, '')).slice(1), [
    '[session.signIn|post] {"email":"admin@admin.net","password":"* obfuscated *"} → error: "invalid credentials"',
    '[user.create|pre] {"email":"zoë@example.org","password":"* obfuscated *","permission":"none"}',
    r.stdout[3].replace(/^\S+Z /, ''), // the card, below
    '[vm.start|post] {"id":"67aac198-0174-11ea-8d71-362b9e155667"} → error: "no such object"'.replace('no such object', JSON.parse(stock[4].body).error.message),
    `[group.create|pre] {"name":${JSON.stringify(JSON.parse(stock[5].body).params.name)}}`,
    '[token.create|post] {"description":"ci"} → "* obfuscated *"',
    '[xo.getAllObjects|post] {} → {}',
  ])
  for (const [i, { body }] of stock.entries()) {
    const { timestamp } = JSON.parse(body)
    if (timestamp) assert.ok(r.stdout[i].startsWith(`${new Date(timestamp).toISOString()} `), r.stdout[i])
  }
  assert.match(r.stdout[3], /^\S+Z \[office365\] .*XO POST notification.*user\.create/)
})

test('without a terminal each line is a JSON object', async t => {
  const r = await listen(t, ['--no-scripts'])
  for (const { headers, body } of stock) await r.post(body, headers)
  const lines = await r.count('lines', () => true, stock.length)
  const [signIn, failed] = lines
  const first = JSON.parse(stock[0].body)
  assert.deepEqual(signIn, { time: new Date(first.timestamp).toISOString(), delivery: signIn.delivery, method: first.method, type: 'post', callId: first.callId, userName: first.userName, params: first.params, duration: first.duration, result: first.result })
  assert.equal(failed.error.message, 'invalid credentials')
  assert.equal(lines[3].card, 'office365')
  assert.ok(!r.process.stdout.some(line => line.includes('EXAMPLE-TOKEN')), 'a usable token is not logged')
})

test('every format that xo-hooks sends is shown as what it is', async t => {
  const r = await listen(t, ['--no-scripts'])
  for (const format of ['json', 'office365', 'teams', 'slack', 'cloudevents'])
    assert.equal((await send(t, r.url, [event('vm.start')], {}, { format })).delivered, 1, format)
  const lines = await r.count('lines', () => true, 5)
  assert.deepEqual(lines.map(({ card, method }) => card ?? method), ['vm.start', 'office365', 'teams', 'slack', 'vm.start'])
  for (const { card, text } of lines) if (card) assert.match(text, /vm\.start|VM: start done, by admin@admin\.net/)
})

test('a terminal cannot be steered by what is received', async t => {
  const r = start(t, ['listen', '--port', '0', '--text', '--no-scripts'])
  const [, port] = await r.waitFor(/listening on http:\/\/127\.0\.0\.1:(\d+)/)
  const url = `http://127.0.0.1:${port}/`
  await post(url, { text: 'card \u001b[2J\u009b1m\nsecond' })
  await post(url, '{"type":"post","method":"vm.start","params":{"a":"\u009b31m\u007f"},"result":"x"}')
  await r.waitUntil('two lines', () => r.stdout.length >= 2)
  for (const line of r.stdout) assert.doesNotMatch(line, /[\u0000-\u001f\u007f-\u009f]/)
  assert.equal(r.stdout.length, 2)
})

test('signatures: good, wrong, changed body, rotated, stale, missing', async t => {
  const file = join(tempFolder(t), 'secret')
  writeFileSync(file, `${SECRET}\r\n${OTHER}\n`)
  const { scripts, notes } = noting(t)
  const r = await listen(t, ['--secret-file', file, '--scripts', scripts])
  assert.doesNotMatch(r.process.stderr.join('\n'), /not verified/)
  const body = JSON.stringify(event('vm.start', 'post', { note: 'ünï ✓ "' }), null, 1)
  const now = Math.floor(Date.now() / 1000)
  const refused = async (headers, why, sent = body) => {
    const { status, json } = await r.post(sent, headers)
    assert.equal(status, 401)
    assert.equal(json.ok, false)
    assert.match(json.error, why)
    await r.line(`a line that says ${why}`, line => line.refused === 401 && why.test(line.error) && line.client === '127.0.0.1')
  }
  await refused(signed('whsec_AAAA', body), /signature does not match/)
  await refused(signed(SECRET, body), /signature does not match/, body + ' ')
  await refused(signed(SECRET, body, { at: now - 310 }), /more than 300 s away/)
  await refused(signed(SECRET, body, { at: now + 310 }), /more than 300 s away/)
  for (const timestamp of ['soon', '-1', '1.5', '', '1'.repeat(5000)])
    await refused({ ...signed(SECRET, body), 'webhook-timestamp': timestamp }, /webhook-timestamp must be a whole number/)
  for (const name of ['webhook-id', 'webhook-timestamp', 'webhook-signature']) {
    const headers = signed(SECRET, body)
    delete headers[name]
    await refused(headers, new RegExp(name))
  }
  await refused({}, /not signed/)
  const swapped = signed(SECRET, body, { id: 'msg_1' })
  await refused({ ...swapped, 'webhook-id': 'msg_2' }, /signature does not match/)
  await refused({ ...swapped, 'webhook-signature': swapped['webhook-signature'].replace('v1,', 'v2,') }, /signature does not match/)
  assert.equal(notes(), '', 'no script ran')
  for (const headers of [signed(SECRET, body), signed(OTHER, body), signed(SECRET, body, { at: now - 290 }), signed(SECRET, body, { at: now + 290 })])
    assert.equal((await r.post(body, headers)).status, 202)
  const both = signed(SECRET, body)
  both['webhook-signature'] = `v1a,abc v1,${'A'.repeat(43)}= ${both['webhook-signature']}`
  assert.equal((await r.post(body, both)).status, 202)
})

test('real deliveries are verified: secret, rotation, another tolerance', async t => {
  const r = await listen(t, ['--no-scripts', '--secret', SECRET, '--tolerance', '2s'])
  const strict = await listen(t, ['--no-scripts', '--secret', SECRET, '--previous-secret', OTHER])
  const delivered = async advanced => (await send(t, strict.url, [event('vm.start')], advanced)).delivered
  assert.equal(await delivered({ passphrase: SECRET }), 1)
  assert.equal(await delivered({ passphrase: OTHER }), 1)
  assert.equal(await delivered({ passphrase: 'wrong', previousPassphrase: SECRET }), 1)
  assert.equal(await delivered({ passphrase: 'wrong' }), 0)
  assert.equal(await delivered({}), 0)
  const body = JSON.stringify(event('vm.start'))
  assert.equal((await r.post(body, signed(SECRET, body, { at: Math.floor(Date.now() / 1000) - 4 }))).status, 401)
  assert.equal((await send(t, r.url, [event('vm.start')], { passphrase: SECRET })).delivered, 1)
})

test('a delivery that came before is answered as done and not run again', async t => {
  const { scripts, notes } = noting(t)
  const r = await listen(t, ['--secret', SECRET, '--scripts', scripts])
  const body = JSON.stringify(event('vm.start')) + '\n'
  const headers = signed(SECRET, body, { id: 'msg_twice' })
  assert.equal((await r.post(body, headers)).status, 202)
  const again = await r.post(body, headers)
  assert.deepEqual([again.status, again.json], [200, { ok: true, delivery: 'msg_twice', again: true }])
  await r.line('the repetition', line => line.again === true)
  const other = signed(SECRET, body)
  await r.post(body, other)
  await until('two runs', () => notes().match(/"callId"/g)?.length === 2)
  await r.stop()
  assert.equal(notes().match(/"callId"/g).length, 2)
})

test('bearer token', async t => {
  const file = join(tempFolder(t), 'token')
  writeFileSync(file, 'opensesame\n')
  const { scripts, notes } = noting(t)
  const r = await listen(t, ['--token-file', file, '--scripts', scripts])
  const body = event('vm.start')
  for (const authorization of [undefined, 'Bearer ', 'Bearer open', 'Bearer opensesame2', 'opensesame', 'Basic b3BlbiBzZXNhbWU='])
    assert.equal((await r.post(body, authorization === undefined ? {} : { authorization })).status, 401, authorization)
  assert.equal((await r.post(body)).headers['www-authenticate'], 'Bearer')
  assert.equal(notes(), '')
  assert.equal((await r.post(body, { authorization: 'Bearer opensesame' })).status, 202)
  assert.equal((await send(t, r.url, [body], { token: 'opensesame' })).delivered, 1)
  assert.ok(!r.process.said().includes('sesame'))
  for (const args of [['--token', ''], ['--secret', ''], ['--token-file', '/dev/null'], ['--secret-file', '/dev/null']]) {
    const { status, stderr } = await run(['listen', '--port', '0', ...args], { limitMs: 3000 })
    assert.equal(status, 2, `${args}: an empty one would let everybody in`)
    assert.match(stderr, /empty|can't be used/)
    assert.equal(stderr.includes('listening'), false)
  }
})

test('TLS', async t => {
  const folder = tempFolder(t)
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const made = await run(['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'], { command: 'openssl' })
  assert.equal(made.status, 0, made.stderr)
  const r = await listen(t, ['--no-scripts', '--cert', cert, '--key', key])
  assert.match(r.url, /^https:/)
  const ca = readFileSync(cert)
  assert.equal((await r.post(event('vm.start'), {}, { ca })).status, 200)
  const large = { ...event('vm.start'), result: 'x'.repeat(3_000_000) }
  assert.equal((await r.post(large, {}, { ca })).status, 200)
  await assert.rejects(r.post(event('vm.start')), /self.signed/)
  const handshake = version => run(['s_client', version, '-cipher', 'ALL:@SECLEVEL=0', '-connect', `127.0.0.1:${r.port}`], { command: 'openssl' })
  for (const [version, taken] of [['-tls1', false], ['-tls1_1', false], ['-tls1_2', true], ['-tls1_3', true]]) {
    const { stdout, stderr } = await handshake(version)
    assert.equal(/New, TLSv1\.\d, Cipher is \w/.test(stdout), taken, `${version}: ${stdout}${stderr}`)
  }
  const impatient = await listen(t, ['--no-scripts', '--cert', cert, '--key', key, '--header-timeout', '300ms'])
  const mute = await raw(impatient.port, '\x16\x03\x01') // a handshake that does not go on
  assert.ok(mute.ms < 5000 && mute.got === '', `closed after ${mute.ms} ms`)
  assert.equal((await impatient.post(event('vm.start'), {}, { ca })).status, 200)
  assert.equal((await send(t, r.url, [event('vm.start')], { tls: { caFile: cert } })).delivered, 1)
  for (const [args, why] of [[['--cert', cert], /belong together/], [['--cert', key, '--key', cert], /did not start: is --cert a PEM certificate/]]) {
    const { status, stderr } = await run(['listen', '--port', '0', ...args], { limitMs: 3000 })
    assert.ok(status === 2 || status === 3)
    assert.match(stderr, why)
  }
})

test('wrong method, path, type, JSON: the status and a JSON body that says why', async t => {
  const { scripts, notes } = noting(t)
  const r = await listen(t, ['--path', '/hook', '--scripts', scripts])
  const url = `${r.url}hook`
  const body = JSON.stringify(event('vm.start'))
  const cases = [
    [405, /only POST/, [url, '', {}, { method: 'GET' }]],
    [405, /only POST/, [url, body, {}, { method: 'PUT' }]],
    [404, /nothing is served at this path; the hook's URL must end with \/hook/, [r.url, body]],
    [404, /nothing is served/, [`${r.url}hook/x`, body]],
    [415, /Content-Type must be application\/json/, [url, body, { 'content-type': 'text/plain' }]],
    [415, /Content-Type/, [url, body, { 'content-type': 'application/jsonx' }]],
    [415, /compressed/, [url, body, { 'content-encoding': 'gzip' }]],
    [400, /not valid JSON: .* at byte/, [url, body.slice(0, -1)]],
    [400, /not valid JSON/, [url, '']],
    [400, /not valid JSON/, [url, Buffer.from([0x7b, 0xff, 0x7d])]],
    [422, /neither an event nor a card: property "method" is missing/, [url, '{"type":"post"}']],
    [422, /neither an event nor a card: property "type"/, [url, '{"method":"vm.start"}']],
    [422, /no method name/, [url, '{"type":"post","method":"../../etc/passwd"}']],
    [422, /an event is an object/, [url, '[1,2]']],
    [400, /webhook-id must have/, [url, body, { 'webhook-id': 'x'.repeat(257) }]],
  ]
  for (const [status, why, [target, sent, headers, more]] of cases) {
    const answer = await post(target, sent, headers, more)
    assert.equal(answer.status, status, `${why}: ${answer.text}`)
    assert.equal(answer.headers['content-type'], 'application/json')
    assert.equal(answer.json.ok, false)
    assert.match(answer.json.error, why)
    await r.line(`refused with ${status}`, line => line.refused === status && why.test(line.error))
  }
  assert.equal((await post(url, body, {}, { method: 'GET' })).headers.allow, 'POST')
  assert.equal(notes(), '', 'no script ran')
  for (const type of ['application/json; charset=utf-8', 'application/cloudevents+json', 'APPLICATION/JSON'])
    assert.equal((await post(`${url}?a=b`, body, { 'content-type': type })).status, 202)
})

test('body cap: announced, chunked, and of a client that sends before it reads', async t => {
  const { scripts, notes } = noting(t)
  const r = await listen(t, ['--body-cap', '64K', '--scripts', scripts])
  const fits = JSON.stringify({ ...event('vm.start'), pad: 'x'.repeat(60_000) })
  assert.equal((await r.post(fits)).status, 202)
  const large = JSON.stringify({ ...event('vm.start'), pad: 'x'.repeat(8_000_000) })
  for (const headers of [{}, { 'transfer-encoding': 'chunked' }]) {
    const answer = await r.post(large, headers)
    assert.deepEqual([answer.status, answer.json.error], [413, 'the body has more than 65536 bytes (--body-cap)'])
  }
  await until('one run', () => notes() === fits)
})

test('a reader of the log that stops holds nothing up, and is told how many lines it missed', async t => {
  const r = await listen(t, ['--no-scripts'], { wrap: ['sh', '-c', 'exec "$0" "$@" 2>&1'] }) // both streams to the one that stops
  const { proc, stdout } = r.process
  const N = 500
  const body = { ...event('vm.start'), params: { pad: 'x'.repeat(30_000) } } // in all more than what may wait
  const posted = async () => {
    proc.stdout.pause()
    for (let i = 0; i < N; i++) assert.equal((await r.post(body)).status, 200)
  }
  await posted()
  proc.stdout.resume()
  const missed = await r.process.waitUntil('how many are missing', () => stdout.find(line => line.includes('"droppedLines"')))
  const shown = stdout.filter(line => line.includes('"vm.start"')).length
  assert.equal(shown + JSON.parse(missed).droppedLines, N)
  await r.post({ ...body, method: 'vm.stop' })
  await r.process.waitUntil('the next line', () => stdout.at(-1).includes('"vm.stop"'))
  await posted()
  const ended = new Promise(resolve => proc.once('exit', resolve))
  proc.kill('SIGTERM')
  assert.equal(await ended, 0, 'the stop does not wait for the reader')
})

test('IPv6', async t => {
  const r = await listen(t, ['--no-scripts', '--bind', '::1'])
  assert.match(r.url, /^http:\/\/\[::1\]:\d+\/$/)
  const { status } = await fetch(r.url, { method: 'POST', body: JSON.stringify(event('vm.start')), headers: { 'content-type': 'application/json' } })
  assert.equal(status, 200)
})

test('wrong use is named', async t => {
  for (const [args, why] of [
    [['--port', 'x'], /--port x: must be a number from 0 to 65535/],
    [['--bind', 'nowhere.example'], /numeric address/],
    [['--scripts', '/nonexistent'], /there is no such folder/],
    [['--forward', 'ftp://x/'], /--forward ftp:\/\/x\/: must be an http or https URL/],
    [['--tolerance', 'long'], /must be a duration/],
    [['extra'], /unexpected argument: extra/],
    [['--previous-secret', 'x'], /needs --secret/],
    [['--header-timeout', '0'], /--header-timeout 0: must be a duration of more than 0/],
    [['--body-timeout', '0'], /more than 0/],
    [['--idle-timeout', '0s'], /more than 0/],
    [['--forward', 'http://127.0.0.1:9/', '--forward-timeout', '0'], /more than 0/],
    [['--tolerance', '500ms'], /at least 1s/],
    [['--forward', 'https://127.0.0.1:9/', '--ca-file', '/nope'], /--ca-file \/nope: No such file/],
    [['--forward', 'https://127.0.0.1:9/', '--ca-file', '/etc'], /--ca-file \/etc: Is a directory/],
    [['--ca-file', '/etc/passwd'], /--ca-file needs --forward/],
    [['--retry', '3'], /--retry needs --spool/],
    [['--retry-wait', '3s'], /--retry-wait needs --spool/],
    [['--json', '--text'], /--json and --text contradict each other/],
    [['--no-scripts', '--serial'], /--serial and --no-scripts contradict each other/],
    [['--workdir', '/', '--no-scripts'], /--workdir and --no-scripts contradict/],
    [['--spool', '/etc/passwd'], /the spool \/etc\/passwd can't be opened: it is not a folder/],
    [['--pass-env', ''], /must be the name of a variable/],
    [['--pass-env', 'A=B'], /--pass-env A=B: must be the name of a variable, without a value/],
    [['--pass-env', 'XO_METHOD'], /--pass-env XO_METHOD: must be another name/],
  ]) {
    const { status, stderr } = await run(['listen', '--port', '0', ...args], { cwd: tempFolder(t), limitMs: 3000 })
    assert.ok(status === 2 || status === 3, `${args}: ${status}`)
    assert.match(stderr, why)
  }
  const r = await listen(t, ['--no-scripts'])
  const taken = await run(['listen', '--port', String(r.port)], { limitMs: 3000 })
  assert.equal(taken.status, 3)
  assert.match(taken.stderr, /another program has the port/)
})
