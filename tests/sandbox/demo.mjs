// ./dev demo: a client signs in to (a stand-in for) xo-server and starts a machine; a target shows the requests that it gets.
// With --keep everything goes on running until Ctrl-C.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { httpTarget, program, run, until } from '../lib/program.mjs'
import { hook, hostFolder, pluginFolder, startHost } from './helpers.mjs'

const { keep } = parseArgs({ options: { keep: { type: 'boolean' } } }).values

const colours = process.stdout.isTTY && !process.env.NO_COLOR
const paint = code => text => (colours ? `\x1b[${code}m${text}\x1b[0m` : text)
const [bold, dim, green, yellow, blue] = [1, 2, 32, 33, 34].map(paint)
const say = (who, text) => console.log(`${who.padEnd(colours ? 19 : 10)} ${text}`)

const folders = hostFolder(null)
const target = await httpTarget(null, (request, response) => {
  const { type, method, result, error } = request.json
  const outcome = type === 'pre' ? '' : ` → ${error === undefined ? JSON.stringify(result) : `error: ${error.message}`}`
  say(green('target'), `${request.method} ${request.url}  ${bold(`${method} ${type}`)}${outcome}`)
  console.log(dim(`           webhook-id: ${request.headers['webhook-id']}\n           ${request.text.slice(0, 300)}`))
  response.end()
})
const url = `${target.url}hook`
say(dim('plugin'), pluginFolder())
const host = await startHost(null, {
  ...folders,
  hooks: [hook('vm.*', 'pre/post', url, { name: 'Machines', advanced: { passphrase: 'a secret of the demonstration' } })],
})
say(dim('host'), `xo-server (stand-in) on ${host.url}, web-hooks loaded, hook: vm.* pre/post → ${url}`)

let status = 0
try {
  const call = async (method, params) => {
    say(blue('client'), `${method}(${JSON.stringify(params)})`)
    const answer = await host.call(method, params).catch(error => error)
    say(blue('client'), dim(answer instanceof Error ? `error: ${answer.message}` : `→ ${JSON.stringify(answer)}`))
  }
  await call('vm.start', { id: '67aac198-0174-11ea-8d71-362b9e155667' })
  await target.count(2)
  await call('vm.start', { id: 'missing' })
  await target.count(4)
  await until('all deliveries are settled', async () => {
    const { deliveries } = await host.call('webHooks.getDeliveries', {})
    return deliveries.length === 4 && deliveries.every(({ status }) => status === 'delivered')
  })
  const log = ['log', '--data', join(folders.dataFolder, 'web-hooks')]
  console.log(yellow(`\nthe delivery log (xo-hooks ${log.join(' ')}):`))
  const { stdout, stderr } = await run(log)
  process.stdout.write(stdout + stderr)
  console.log(bold(green('\n2 calls, 4 requests sent, 4 received.')))
  if (keep) {
    console.log(`\nStill running; Ctrl-C ends it.
  host    ${host.url} (admin@admin.net, password admin; JSON-RPC over WebSocket on /api/)
  target  ${url}
  data    ${join(folders.dataFolder, 'web-hooks')}
  look    ${program()} log --data ${join(folders.dataFolder, 'web-hooks')}`)
    await new Promise(resolve => process.once('SIGINT', resolve))
  }
} catch (error) {
  console.error(error.stack)
  console.error(host.process.said())
  status = 1
}
await host.stop()
await until('the program has ended', () => host.children().length === 0)
await target.close()
rmSync(folders.base, { recursive: true, force: true })
process.exitCode = status
