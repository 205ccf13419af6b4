// Backup jobs of the stand-in: each run tells the plugins' listeners with a pair of events of its own.
import { AsyncResource } from 'node:async_hooks'
import { randomUUID } from 'node:crypto'

import { callId, emitAndWait } from './api.mjs'
import { noSuchObject, serialize } from './errors.mjs'

export class Jobs {
  #jobs = new Map()
  #running = new Set()
  #schedules = new Map() // id → the run, bound to the context of the call that made the schedule, as a timer would be

  constructor(xo) {
    this.xo = xo
  }

  create(job) {
    const id = randomUUID()
    this.#jobs.set(id, { id, ...job })
    return id
  }

  schedule(jobId) {
    const id = randomUUID()
    this.#schedules.set(
      id,
      AsyncResource.bind(() => this.run(jobId, id))
    )
    return id
  }

  tick(scheduleId) {
    return this.#schedules.get(scheduleId)()
  }

  async run(id, schedule) {
    const job = this.#jobs.get(id)
    if (job === undefined) throw noSuchObject(id, 'job')
    if (this.#running.has(id)) throw new Error(`the job (${id}) is already running`)
    this.#running.add(id)
    try {
      await this.#runTold(job, schedule)
    } finally {
      this.#running.delete(id)
    }
  }

  async #runTold({ id, settings, vms, userId }, schedule) {
    const { xo } = this
    // one object for both events, as in the host: what listeners keep of the first one changes under their feet
    const data = {
      callId: callId(),
      method: 'backupNg.runJob',
      params: { id, proxy: undefined, schedule, settings, vms },
      timestamp: Date.now(),
      userId,
      userName: xo.users.get(userId)?.email ?? '(unknown user)',
    }
    await emitAndWait(xo, xo.log, 'backup:preCall', data)
    try {
      if (settings.fails) throw new TypeError('the repository is not reachable')
      data.result = true
    } catch (error) {
      data.error = serialize(error)
      throw error
    } finally {
      const now = Date.now()
      data.duration = now - data.timestamp
      data.timestamp = now
      xo.emit('backup:postCall', data)
    }
  }
}
