// API methods of the stand-in: enough of XO's to be realistic, with the same names, permissions and kinds of answers.
import { randomBytes, randomUUID } from 'node:crypto'

import { invalidCredentials, noSuchObject } from './errors.mjs'

const ID = { id: { type: 'string' } }
const admin = (run, params, description) => Object.assign(run, { permission: 'admin', params, description })
const open = (run, params) => Object.assign(run, { permission: null, params })

// About 2.4 kB of JSON each, as a machine in xo.getAllObjects.
function machine(i) {
  return {
    type: 'VM',
    id: `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`,
    name_label: `machine ${i}`,
    power_state: i % 3 ? 'Running' : 'Halted',
    tags: ['production', 'XO Backup', `rack-${i % 40}`],
    addresses: { '0/ipv4/0': `10.0.${i >> 8}.${i & 255}` },
    other: { description: 'zone Zürich, managed by the operations team; '.repeat(45) },
  }
}

const objects = new Map() // MB → the answer, built once

function allObjects(megabytes) {
  if (!objects.has(megabytes)) {
    const answer = {}
    for (let i = 0, bytes = 0; bytes < megabytes * 1e6; i++) {
      const object = machine(i)
      bytes += JSON.stringify(object).length + object.id.length + 4
      answer[object.id] = object
    }
    objects.set(megabytes, answer)
  }
  return objects.get(megabytes)
}

const session = {
  signIn: open(
    async function ({ email, password, token }) {
      for (const user of this.users.values()) {
        if (token === undefined ? user.email === email && user.password === password : user.tokens.has(token)) {
          this.api.context.connection.userId = user.id
          return publicUser(user)
        }
      }
      throw invalidCredentials()
    },
    {
      email: { type: 'string', optional: true },
      password: { type: 'string', optional: true },
      token: { type: 'string', optional: true },
    }
  ),
  getUser: open(function () {
    const { user } = this.api.context
    return user === undefined ? null : publicUser(user)
  }, {}),
}

const publicUser = ({ id, email, permission }) => ({ id, email, groups: [], permission, preferences: {} })

const user = {
  create: admin(
    function ({ email, password, permission = 'none' }) {
      const id = randomUUID()
      this.users.set(id, { id, email, password, permission, tokens: new Set() })
      return id
    },
    { email: { type: 'string' }, password: { type: 'string' }, permission: { type: 'string', optional: true } },
    'creates a new user'
  ),
  getAll: admin(function () {
    return [...this.users.values()].map(publicUser)
  }, {}),
}

const vm = {
  start: Object.assign(
    function ({ id }) {
      if (id === 'missing') throw noSuchObject(id, 'VM')
    },
    { description: 'starts a VM', params: { ...ID, force: { type: 'boolean', optional: true }, host: { type: 'string', optional: true } } }
  ),
  stop: Object.assign(() => {}, { params: { ...ID, force: { type: 'boolean', optional: true } } }),
  restart: Object.assign(() => {}, { params: ID }),
  migrate: Object.assign(
    () => {
      throw Object.assign(new Error('INTERNAL_ERROR(boom)'), { code: 'INTERNAL_ERROR', params: ['boom'], call: { method: 'VM.migrate_send' } })
    },
    { params: { vm: { type: 'string' }, targetHost: { type: 'string' } } }
  ),
}

const token = {
  create: Object.assign(
    function () {
      const value = randomBytes(32).toString('base64url')
      this.api.context.user.tokens.add(value)
      return value
    },
    { params: { description: { type: 'string', optional: true } } }
  ),
}

const acl = { get: admin(() => [], {}, 'get existing ACLs'), add: admin(() => {}, { subject: { type: 'string' } }) }

const xo = {
  getAllObjects: Object.assign(({ megabytes = 10 }) => allObjects(megabytes), {
    params: { megabytes: { type: 'number', optional: true } },
  }),
  // things that JSON can't hold
  getOdd: admin(({ kind }) => (kind === 'bigint' ? { n: 1n } : { buffer: Buffer.from('xo'), map: new Map() }), { kind: { type: 'string' } }),
}

const backupNg = {
  createJob: admin(
    function ({ name, settings = {}, vms = {} }) {
      return this.jobs.create({ name, settings, vms, userId: this.api.context.user.id })
    },
    { name: { type: 'string' }, settings: { type: 'object', optional: true }, vms: { type: 'object', optional: true } }
  ),
  runJob: admin(
    function ({ id, schedule }) {
      return this.jobs.run(id, schedule)
    },
    { ...ID, schedule: { type: 'string' } }
  ),
}

const job = {
  runSequence: admin(
    async function ({ idSequence }) {
      for (const id of idSequence) await this.jobs.run(id)
    },
    { idSequence: { type: 'array', items: { type: 'string' } } }
  ),
}

// `runNow` stands for the moment at which the clock starts a schedule: the run has no API call around it, though its timer
// was made in one.
const schedule = {
  create: admin(
    function ({ jobId }) {
      return this.jobs.schedule(jobId)
    },
    { jobId: { type: 'string' } }
  ),
  runNow: admin(
    function ({ id }) {
      return this.jobs.tick(id)
    },
    ID
  ),
}

const plugin = {
  get: admin(function () {
    return this.plugins.list()
  }, {}),
  configure: admin(
    function ({ id, configuration }) {
      return this.plugins.configure(id, configuration)
    },
    { ...ID, configuration: {} }
  ),
  load: admin(function ({ id }) {
    return this.plugins.load(id)
  }, ID),
  unload: admin(function ({ id }) {
    return this.plugins.unload(id)
  }, ID),
  enableAutoload: admin(function ({ id }) {
    return this.plugins.setAutoload(id, true)
  }, ID),
  disableAutoload: admin(function ({ id }) {
    return this.plugins.setAutoload(id, false)
  }, ID),
  test: admin(
    function ({ id, data }) {
      return this.plugins.test(id, data)
    },
    { ...ID, data: { optional: true } }
  ),
}

const system = {
  getMethodsInfo: open(function () {
    return Object.fromEntries(
      Object.entries(this.apiMethods).map(([name, { description, params, permission }]) => [name, { description, name, params, permission }])
    )
  }),
}

export const methods = { acl, backupNg, job, plugin, schedule, session, system, token, user, vm, xo }
