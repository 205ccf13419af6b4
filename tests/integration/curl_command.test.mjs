// The command that `show` prints: run by a shell, it is the delivery's own request, and nothing else is run.
import assert from 'node:assert/strict'
import { copyFileSync, readdirSync } from 'node:fs'
import { createServer as createHttps } from 'node:https'
import { join } from 'node:path'
import { test } from 'node:test'

import { authority } from '../lib/certificates.mjs'
import { httpTarget, run, tempFolder } from '../lib/program.mjs'
import { event, hook, serve } from '../lib/serve.mjs'

// What differs between two moments: the timestamp, and headers of the connection.
const sent = ({ method, url, headers: { 'webhook-timestamp': at, connection, ...headers }, text }) => {
  assert.match(at, /^\d{10}$/)
  return { method, url, headers, text }
}

async function delivered(t, hooks, target, more, env) {
  const s = await serve(t, hooks, { env })
  const source = await s.source()
  source.raw(typeof more === 'string' ? more + '\n' : JSON.stringify({ event: event('vm.start', 'post', more) }) + '\n')
  const request = await target.next()
  await s.settledAll(1)
  const { stdout } = await s.command('show', request.headers['webhook-id'])
  return { request, command: stdout.slice(stdout.lastIndexOf('\n\n') + 2), stdout }
}

// With every (hidden) filled in, in order.
async function shell(t, command, secrets = []) {
  const left = [...secrets]
  const filled = command
    .split('\n')
    .map(line => (line.startsWith('#') ? line : line.replace(/\(hidden\)/g, () => left.shift())))
    .join('\n')
  const cwd = tempFolder(t)
  const { status, stderr } = await run([], { command: '/bin/sh', cwd, input: filled })
  assert.equal(left.length, 0, command)
  assert.deepEqual(readdirSync(cwd), [], 'a shell ran something')
  assert.equal(status, 0, `${stderr}\n${filled.slice(0, 4000)}`)
}

test('without secrets it is the same request as it stands', async t => {
  for (const params of [
    { id: "it's", cost: '$HOME `id` $(id) \\ "', percent: '%s %d\\n', text: 'é 😀' },
    { text: 'C1 \u009b31m, from right to left \u202e, DEL \u007f, 50%\\n \'quoted\'' },
    { large: "x'".repeat(1_000_000) },
    { large: '\u202e%\\'.repeat(100_000) },
  ]) {
    const target = await httpTarget(t)
    const { request, command } = await delivered(t, [hook('*', 'post', target.url + 'a/[b]/{c}')], target, { params })
    assert.doesNotMatch(command, /hidden|#|[\u0080-\u009f\u202e\u007f]/)
    await shell(t, command)
    const again = await target.next()
    assert.deepEqual(sent(again), sent(request))
  }
})

test('a type of its own, and a body that is no event', async t => {
  const target = await httpTarget(t)
  const { request, command } = await delivered(t, [hook('*', 'post', target.url, { format: 'cloudevents' })], target, {})
  await shell(t, command)
  assert.deepEqual(sent(await target.next()), sent(request))
})

test('what is secret is hidden, said, and all that is missing', async t => {
  const target = await httpTarget(t)
  const url = `http://me:pw1@127.0.0.1:${target.port}/services/ABCDEFGHIJKLMNOPQRSTUVWXYZ0123/x?key=pw2`
  const headers = [
    { name: 'X-Key', value: 'pw3' },
    { name: "X'`pwd|tee|a`'", value: 'pw4' }, // a legal name
    { name: "Y'|tee|b|'", value: 'pw5' },
  ]
  const hooks = [hook('*', 'post', url, { advanced: { headers, passphrase: 'pw6pw6pw6pw6' } })]
  const { request, command, stdout } = await delivered(t, hooks, target, {})
  assert.doesNotMatch(stdout, /pw\d|GHIJKL/)
  assert.match(command, /^# Fill in what is \(hidden\): parts of the URL, values of headers, the signature of id, timestamp and body\n/)
  const signature = request.headers['webhook-signature']
  await shell(t, command, [signature, 'pw3', 'pw4', 'pw5', 'me', 'pw1', 'GHIJKLMNOPQRSTUVWXYZ0123', 'key=pw2'])
  assert.deepEqual(sent(await target.next()), sent(request))
})

test('its proxy and its TLS files', async t => {
  const { ca, sign } = await authority(t)
  const { cert, key } = await sign('server', 'DNS:localhost')
  const client = await sign('client')
  const options = { cert, key, ca: ca.cert, requestCert: true, rejectUnauthorized: true }
  const target = await httpTarget(t, undefined, { createServer: handler => createHttps(options, handler) })
  const certificateFile = join(tempFolder(t), "it's: a\\ file.pem")
  copyFileSync(client.certFile, certificateFile)
  const tls = { caFile: ca.certFile, certificateFile, keyFile: client.keyFile }
  const hooks = [hook('*', 'post', `https://localhost:${target.port}/`, { advanced: { proxy: 'none', tls } })]
  const { request, command } = await delivered(t, hooks, target, {})
  assert.match(command, /--noproxy '\*' \\\n +--cacert '/)
  await shell(t, command)
  assert.deepEqual(sent(await target.next()), sent(request))
})

test('through its proxy', async t => {
  const proxy = await httpTarget(t)
  const hooks = [hook('*', 'post', 'http://target.example/x', { advanced: { proxy: `http://me:pw1@127.0.0.1:${proxy.port}` } })]
  const { request, command, stdout } = await delivered(t, hooks, proxy, {})
  assert.doesNotMatch(stdout, /pw1/)
  assert.match(command, /^# Fill in what is \(hidden\): credentials of the proxy\n/)
  assert.equal(request.url, 'http://target.example/x')
  await shell(t, command, ['me', 'pw1'])
  assert.deepEqual(sent(await proxy.next()), sent(request))
})
