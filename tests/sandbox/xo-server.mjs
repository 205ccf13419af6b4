// The stand-in as a process of its own: `node xo-server.mjs '{"folder", "dataFolder", "plugins", "port"}'`. Says where it listens on
// standard output; its log goes to standard error.
import { Xo } from './xo.mjs'

const { port, ...options } = JSON.parse(process.argv[2])
const xo = new Xo(options)
console.log(`listening on http://127.0.0.1:${await xo.start(port)}`)

let stopping = false
for (const signal of ['SIGINT', 'SIGTERM'])
  process.on(signal, () => {
    if (stopping) process.exit(1)
    stopping = true
    xo.stop().then(() => console.log('bye'))
  })
