// Certificates for tests, made with openssl: an authority, and what it has signed.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { X509Certificate } from 'node:crypto'

import { run, tempFolder } from './program.mjs'

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']

async function openssl(...args) {
  const { status, stderr } = await run(args, { command: 'openssl' })
  assert.equal(status, 0, stderr)
}

const files = (folder, name) => ({ key: join(folder, `${name}.key`), cert: join(folder, `${name}.pem`) })

const loaded = ({ key, cert }) => ({
  keyFile: key,
  certFile: cert,
  key: readFileSync(key),
  cert: readFileSync(cert),
  fingerprint: new X509Certificate(readFileSync(cert)).fingerprint256,
})

// Resolves with { ca, sign(name, subjectAltName) }; each certificate is { keyFile, certFile, key, cert, fingerprint }.
export async function authority(t) {
  const folder = tempFolder(t)
  const ca = files(folder, 'ca')
  await openssl('req', '-x509', ...EC, '-keyout', ca.key, '-out', ca.cert, '-subj', '/CN=Test authority')
  const sign = async (name, subjectAltName) => {
    const made = files(folder, name)
    const extra = subjectAltName ? ['-addext', `subjectAltName=${subjectAltName}`] : []
    await openssl('req', '-x509', ...EC, '-CA', ca.cert, '-CAkey', ca.key, '-keyout', made.key, '-out', made.cert, '-subj', `/CN=${name}`,
      '-addext', 'basicConstraints=critical,CA:FALSE', ...extra)
    return loaded(made)
  }
  return { ca: loaded(ca), sign }
}
