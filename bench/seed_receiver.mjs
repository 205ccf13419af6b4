// What Xen Orchestra's documentation gives as an example of a receiver, to measure against: it answers at once, logs a line, and has a shell run
// ./hook-scripts/METHOD-TYPE.sh. Differences, for measuring only: `port` instead of 3000; --no-scripts leaves the shell out; --wait
// answers when the shell has ended, so that a load can be bounded by what gets done (as it stands, it starts any number of shells).
import { exec } from 'node:child_process'
import http from 'node:http'

const [port, mode] = process.argv.slice(2)

function handleHook(data, done) {
  const { method, params, type, result, error, timestamp } = JSON.parse(data)
  console.log(`${new Date(timestamp).toISOString()} [${method}|${type}] ${params} → ${result || error}`)
  if (mode !== '--no-scripts') exec(`./hook-scripts/${method}-${type}.sh`, done)
}

http
  .createServer((req, res) => {
    let body = ''
    req.on('data', chunk => (body += chunk))
    req.on('end', () => handleHook(body, () => mode === '--wait' && res.end()))
    if (mode !== '--wait') res.end()
  })
  .listen(Number(port), '127.0.0.1', () => console.error('listening'))
