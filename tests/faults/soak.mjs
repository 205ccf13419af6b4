// ./dev soak [SECONDS] [SEED] [PRESET]: everything under load with kill -9, full disks and targets that misbehave. Status 1 when something was lost.
import { Soak } from '../lib/soak.mjs'

const [seconds = '300', seed = String(Date.now() % 1_000_000), preset = 'release'] = process.argv.slice(2)
if (![seconds, seed].every(number => /^\d+$/.test(number))) {
  console.error('usage: ./dev soak [SECONDS] [SEED] [PRESET]')
  process.exit(2)
}
process.env.XH_PRESET = preset // of the commands too
console.error(`soak: ${seconds} s, seed ${seed}, build ${preset}`)
const begin = Date.now()
const log = text => console.error(`soak: ${((Date.now() - begin) / 1000).toFixed(1)} s: ${text}`)
const { problems, folder, ...numbers } = await new Soak({ seconds: Number(seconds), seed: Number(seed), preset, log }).run()
console.log(JSON.stringify(numbers, null, 2))
if (problems.length) console.error(`soak: ${problems.length} problems (above); the outbox is left in ${folder}; again with: ./dev soak ${seconds} ${seed} ${preset}`)
else console.error('soak: every acknowledged event arrived')
process.exit(problems.length ? 1 : 0)
