// A URL that the stock plugin takes, which reads it as Node.js does, loads unchanged and means the same.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { httpTarget, run, tempFolder } from '../lib/program.mjs'
import { event, hook } from '../lib/serve.mjs'

const typed = port => [
  `http://127.0.0.1:${port}`,
  `http://127.0.0.1:${port}?only=query`,
  ` \n http://127.0.0.1:${port}/around \t`,
  `http://127.0.0.1:${port}/a b/{id}/ä/"x"?q=a b&x='y'&z={z}\`#fragment`,
  `http:\\\\127.0.0.1:${port}\\win\\path?but=\\`,
  `HTTP:127.0.0.1:${port}/no/slashes`,
  `http:////127.0.0.1:${port}/many/slashes`,
  `http://127.0.0.1:${port}/li\nne/%zz/%41/x/../y/./z`,
  `http://user:p%40ss:word@127.0.0.1:${port}/credentials`,
  `http://us@er:pass wörd@127.0.0.1:${port}/more/at`,
  `http://user@127.0.0.1:${port}/no/password`,
  `http://127.1:${port}/short`,
]

const meant = text => {
  const url = new URL(text)
  const credentials = url.username && `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
  return { path: url.pathname + url.search, credentials }
}

const sent = ({ url, headers }) => {
  const credentials = Buffer.from((headers.authorization ?? '').replace(/^Basic /, ''), 'base64').toString()
  return { path: url, credentials }
}

async function sendTo(t, url) {
  const folder = tempFolder(t)
  writeFileSync(join(folder, 'hooks.json'), JSON.stringify({ hooks: [hook('*', 'post', url)] }))
  return run(['send', '--quiet', '--config', join(folder, 'hooks.json')], { input: JSON.stringify(event('vm.start')) + '\n' })
}

test('what is typed means what Node.js understands', async t => {
  const target = await httpTarget(t)
  const { port } = new URL(target.url)
  for (const url of typed(port)) {
    const { status, stderr } = await sendTo(t, url)
    assert.equal(status, 0, `${url}: ${stderr}`)
    assert.deepEqual(sent(await target.next()), meant(url), url)
  }
})

test('IPv6 and Unicode hosts', async t => {
  const target = await httpTarget(t, undefined, { host: '::1' })
  const { port } = new URL(target.url)
  assert.equal((await sendTo(t, `http://[::1]:${port}/six`)).status, 0)
  const six = await target.next()
  assert.deepEqual([six.url, six.headers.host], ['/six', `[::1]:${port}`])
  assert.equal((await sendTo(t, `http://Bücher.localhost:${port}/`)).status, 0)
  assert.equal((await target.next()).headers.host, `xn--bcher-kva.localhost:${port}`)
})
