// What the way to a target can need: TLS with an authority, a client certificate or a pin of the hook's own, HTTP/2, and proxies.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { createSecureServer } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import { connect } from 'node:net'
import { test } from 'node:test'

import { authority } from '../lib/certificates.mjs'
import { cleanUp, fullPort, httpTarget, program, run, start } from '../lib/program.mjs'
import { event, hook, Serve, serve } from '../lib/serve.mjs'

const ONE_ATTEMPT = { retry: { schedule: [0] } }

const https = (t, options) =>
  httpTarget(t, (req, res) => res.end(), { createServer: handler => createHttpsServer(options, handler) })

async function outcomes(t, hooks, options) {
  const s = await serve(t, hooks, options)
  const source = await s.source()
  source.send({ id: 1, event: event('vm.start') })
  const settled = await s.settledAll(hooks.length)
  return { s, settled: new Map(settled.map(one => [one.hook, one])) }
}

test('TLS: an authority of its own, a pin, neither, the wrong ones', async t => {
  const { ca, sign } = await authority(t)
  const { key, cert, fingerprint } = await sign('localhost', 'DNS:localhost,IP:127.0.0.1')
  const target = await https(t, { key, cert })
  const url = `https://127.0.0.1:${target.port}/`
  const other = await authority(t)
  const of = (name, tls) => hook('*', 'post', url, { name, advanced: { ...ONE_ATTEMPT, ...(tls && { tls }) } })
  const { settled } = await outcomes(t, [
    of('authority', { caFile: ca.certFile }),
    of('pin', { pinnedCertificate: fingerprint }),
    of('wrong authority', { caFile: other.ca.certFile }),
    of('wrong pin', { pinnedCertificate: other.ca.fingerprint }),
    of('system', undefined),
    of('missing file', { caFile: '/nowhere/ca.pem' }),
  ])
  assert.equal(settled.get('authority').status, 'delivered')
  assert.equal(settled.get('pin').status, 'delivered')
  for (const name of ['wrong authority', 'wrong pin', 'system', 'missing file']) {
    assert.equal(settled.get(name).status, 'dead', name)
    assert.match(settled.get(name).lastError, /certificate|CA/i, name)
  }
  assert.equal(target.requests.length, 2)
})

test('TLS: a host that the certificate does not name', async t => {
  const { ca, sign } = await authority(t)
  const { key, cert } = await sign('elsewhere.example', 'DNS:elsewhere.example')
  const target = await https(t, { key, cert })
  const { settled } = await outcomes(t, [
    hook('*', 'post', `https://127.0.0.1:${target.port}/`, { name: 'h', advanced: { ...ONE_ATTEMPT, tls: { caFile: ca.certFile } } }),
  ])
  assert.equal(settled.get('h').status, 'dead')
  assert.match(settled.get('h').lastError, /certificate|name/i)
})

test('TLS: a client certificate, where the target asks for one', async t => {
  const { ca, sign } = await authority(t)
  const server = await sign('localhost', 'IP:127.0.0.1')
  const client = await sign('xo-hooks')
  const seen = []
  const target = await httpTarget(t, (req, res) => res.end(), {
    createServer: handler =>
      createHttpsServer({ key: server.key, cert: server.cert, ca: ca.cert, requestCert: true, rejectUnauthorized: true }, (req, res) => {
        seen.push(req.socket.getPeerCertificate().subject.CN)
        handler(req, res)
      }),
  })
  const of = (name, tls) => hook('*', 'post', `https://127.0.0.1:${target.port}/`, { name, advanced: { ...ONE_ATTEMPT, tls: { caFile: ca.certFile, ...tls } } })
  const { settled } = await outcomes(t, [of('with', { certificateFile: client.certFile, keyFile: client.keyFile }), of('without')])
  assert.equal(settled.get('with').status, 'delivered')
  assert.equal(settled.get('without').status, 'dead')
  assert.deepEqual(seen, ['xo-hooks'])
})

test('TLS: a locked key without its passphrase is told, and nobody is asked on the terminal', async t => {
  const { ca, sign } = await authority(t)
  const { key, cert } = await sign('localhost', 'IP:127.0.0.1')
  const client = await sign('xo-hooks')
  const locked = `${client.keyFile}.locked`
  await run(['pkey', '-in', client.keyFile, '-aes128', '-passout', 'pass:open sesame', '-out', locked], { command: 'openssl' })
  const target = await https(t, { key, cert, ca: ca.cert, requestCert: true })
  const of = (name, tls) =>
    hook('*', 'post', `https://127.0.0.1:${target.port}/${name}`, {
      name,
      advanced: { ...ONE_ATTEMPT, tls: { caFile: ca.certFile, certificateFile: client.certFile, keyFile: locked, ...tls } },
    })
  const s = await new Serve(t, [of('with', { passphrase: 'open sesame' }), of('without')])
  // script gives it a terminal, on which OpenSSL would ask
  s.process = start(t, ['-qec', `'${program()}' serve --data '${s.data}' --config '${s.config}'`, '/dev/null'], { command: 'script' })
  const [, pid] = await s.process.waitFor(/ serves, process (\d+)/)
  cleanUp(t, () => process.kill(Number(pid), 'SIGKILL')) // the end of script is no end for it
  const source = await s.source()
  source.send({ id: 1, event: event('vm.start') })
  const settled = new Map((await s.settledAll(2)).map(one => [one.hook, one]))
  assert.equal(settled.get('with').status, 'delivered')
  assert.match(settled.get('without').lastError, /tls.certificateFile or tls.keyFile can't be used/)
})

test('HTTP/2: many deliveries share one connection', async t => {
  const { ca, sign } = await authority(t)
  const { key, cert } = await sign('localhost', 'IP:127.0.0.1')
  const sessions = new Set()
  const target = await httpTarget(t, (req, res) => res.end(), {
    createServer: handler => {
      const server = createSecureServer({ key, cert, allowHTTP1: true }, (req, res) => {
        assert.equal(req.httpVersion, '2.0')
        sessions.add(req.stream.session)
        handler(req, res)
      })
      server.closeAllConnections = () => sessions.forEach(session => session.destroy())
      return server
    },
  })
  const s = await serve(t, [hook('*', 'post', `https://127.0.0.1:${target.port}/`, { advanced: { tls: { caFile: ca.certFile }, passphrase: 'a secret of mine' } })])
  const source = await s.source()
  const count = 100
  for (let id = 1; id <= count; id++) source.send({ id, event: event('vm.start', 'post', { callId: `c${id}` }) })
  await target.count(count)
  await s.settled('delivered', count)
  assert.equal(new Set(target.requests.map(({ headers }) => headers['webhook-id'])).size, count)
  assert.equal(sessions.size, 1)
})

// A proxy that wants to know who asks. Notes what was asked of it.
async function proxy(t) {
  const asked = []
  const allowed = headers => {
    const [, base64 = ''] = (headers['proxy-authorization'] ?? '').split(' ')
    return Buffer.from(base64, 'base64').toString() === 'me:p@ss'
  }
  const server = createHttpServer((req, res) => {
    asked.push(`${req.method} ${req.url}`)
    req.resume()
    res.writeHead(allowed(req.headers) ? 200 : 407).end()
  })
  server.on('connect', (req, socket, head) => {
    asked.push(`CONNECT ${req.url}`)
    if (!allowed(req.headers)) return socket.end('HTTP/1.1 407 Who are you\r\n\r\n')
    const [host, port] = req.url.split(':')
    const onward = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Go on\r\n\r\n')
      onward.write(head)
      socket.pipe(onward).pipe(socket)
    })
    for (const one of [socket, onward]) one.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanUp(t, () => (server.closeAllConnections(), server.close()))
  return { asked, port: server.address().port }
}

test('proxies: of the hook, of the environment, none, and one that refuses', async t => {
  const { ca, sign } = await authority(t)
  const { key, cert } = await sign('localhost', 'IP:127.0.0.1')
  const secure = await https(t, { key, cert })
  const plain = await httpTarget(t)
  const p = await proxy(t)
  const environment = await proxy(t)
  const own = { proxy: `http://me@127.0.0.1:${p.port}`, proxyPassword: 'p@ss' }
  const of = (name, url, advanced) => hook('*', 'post', url, { name, advanced: { ...ONE_ATTEMPT, ...advanced } })
  const { s, settled } = await outcomes(
    t,
    [
      of('tunnel', `https://127.0.0.1:${secure.port}/tunnel`, { ...own, tls: { caFile: ca.certFile } }),
      of('plain', 'http://inside.example/plain', own),
      of('refused', `https://127.0.0.1:${secure.port}/refused`, { proxy: `http://127.0.0.1:${p.port}`, tls: { caFile: ca.certFile } }),
      of('environment', 'http://inside.example/environment'),
      of('none', `${plain.url}none`, { proxy: 'none' }),
      of('nobody there', plain.url, { proxy: 'http://127.0.0.1:1' }),
      of('a port that is full', plain.url, { proxy: `http://127.0.0.1:${await fullPort(t)}`, timeout: 0.3 }),
    ],
    { env: { http_proxy: `http://me:p%40ss@127.0.0.1:${environment.port}`, no_proxy: '' } }
  )
  for (const name of ['tunnel', 'plain', 'environment', 'none']) assert.equal(settled.get(name).status, 'delivered', name)
  assert.equal(settled.get('refused').status, 'dead')
  assert.match(settled.get('refused').lastError, /proxy/i)
  for (const name of ['nobody there', 'a port that is full']) {
    assert.equal(settled.get(name).status, 'dead')
    assert.match(settled.get(name).lastError, /^no connection to the proxy/)
    assert.equal((await s.json('show', settled.get(name).id)).attempts[0].fault, 'proxy')
  }
  assert.deepEqual(secure.requests.map(({ url }) => url), ['/tunnel'])
  assert.equal(secure.requests[0].headers['proxy-authorization'], undefined)
  assert.deepEqual(plain.requests.map(({ url }) => url), ['/none'])
  assert.deepEqual(environment.asked, ['POST http://inside.example/environment'])
  assert.ok(p.asked.includes('POST http://inside.example/plain') && p.asked.includes(`CONNECT 127.0.0.1:${secure.port}`), p.asked.join())
})
