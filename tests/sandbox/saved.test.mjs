// What the host has saved is what it starts with, whatever the program would say of it if it were new.
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { httpTarget, until } from '../lib/program.mjs'
import { hook, hostFolder, startHost } from './helpers.mjs'

const VM = '67aac198-0174-11ea-8d71-362b9e155667'
const NEAR = 'vm.stat' // what a newer XO may have; nearly vm.start

function hostWith(t, configuration) {
  const folders = hostFolder(t)
  mkdirSync(folders.dataFolder)
  writeFileSync(join(folders.dataFolder, 'plugins.json'), JSON.stringify({ 'web-hooks': { autoload: true, configuration } }))
  return startHost(t, folders)
}

test('a method that XO has and the program does not know is taken, loaded or not, and loads again', async t => {
  const hooks = [hook('vm.start', 'post', 'http://127.0.0.1:9/'), hook(NEAR, 'post', 'http://127.0.0.1:9/')]
  const host = await startHost(t, { hooks })
  await host.configure(hooks)
  await host.unload()
  await host.configure(hooks)
  await host.stop()
  const again = await startHost(t, host)
  await again.connected()
  assert.deepEqual((await again.plugin()).configuration.hooks, hooks)
  assert.deepEqual((await again.stats()).plugin.leftOut, [])
})

test('hooks that can not be used are left out at start, and told; the good ones work; a new save is refused', async t => {
  const target = await httpTarget(t)
  const hooks = [
    ...['localhost:3000/hook', '', 'http://', 'my-host/hook', 'ftp://joe:hunter2@x/'].map(url => hook('vm.start', 'pre/post', url, { waitForResponse: true })),
    hook('vm.start', 'post', target.url, { name: 'Good', advanced: { token: 'hunter2' } }),
    hook('vm.*', 'post', 'ftp://x/', { name: 'Files' }),
    hook('vm.*', 'post', 'ftp://x/', { enabled: false }),
  ]
  const host = await hostWith(t, { hooks })
  await host.connected()
  await host.call('vm.start', { id: VM })
  assert.equal((await target.next()).headers.authorization, 'Bearer hunter2')
  const { leftOut } = (await host.stats()).plugin
  assert.deepEqual(leftOut.map(one => one.hook), [1, 2, 3, 4, 5, 7])
  assert.match(leftOut[1].why, /needs a "url"/)
  assert.ok(!JSON.stringify(leftOut).includes('hunter2'))
  await until('it is logged', () => host.log.some(line => /hook 7 \(Files\) is left out.*url: .*ftp:/.test(line)))
  await assert.rejects(host.call('plugin.test', { id: 'web-hooks' }), /6 of 7 failed:\nhook 1, left out: url: .*hook 7 \(Files\), left out/s)

  const { configuration } = await host.plugin()
  assert.deepEqual(configuration.hooks.map(({ url }) => url), hooks.map(({ url }) => url))
  await assert.rejects(host.configure(configuration), /hook 1, url: .*hook 7 \(Files\), url: /s)
  await host.unload()
  await assert.rejects(host.configure(configuration), /hook 1, url: .*hook 7 \(Files\), url: /s)
  configuration.hooks = configuration.hooks.slice(5, 6)
  await host.configure(configuration)
  assert.deepEqual(host.savedHooks().map(({ name, advanced }) => [name, advanced.token]), [['Good', 'hunter2']])
  await host.load()
  await host.call('plugin.test', { id: 'web-hooks' })
})

test('what is saved again by the plugin itself may hold a hook that can not be used', async t => {
  const advanced = { passphrase: 'new', previousPassphrase: 'old' }
  const host = await hostWith(t, { hooks: [hook('vm.start', 'post', 'http://'), hook('vm.start', 'post', 'http://127.0.0.1:9/', { advanced })] })
  await host.connected()
  await until('it is saved under another name', () => host.savedHooks()[1].advanced.previousPassword === 'old')
  assert.equal(host.savedHooks()[0].url, 'http://')
  assert.equal((await host.stats()).plugin.leftOut.length, 1)
  assert.ok(!host.log.some(line => /not saved/.test(line)), host.process.said())
})

test('a first configuration of an administrator is judged as any other', async t => {
  const host = await startHost(t)
  await assert.rejects(host.configure([hook('vm.start', 'post', 'ftp://x/')]), /hook 1, url/)
  await assert.rejects(host.load(), /not configured/)
})
