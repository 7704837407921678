// Uses the KMIP client of Scality (Arsenal), as CloudServer does for the keys of its buckets.
//
// Arguments: the folder of the package, HOST, PORT, and the files of the authority, certificate and key.
'use strict';

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');

const [folder, host, port, ca, cert, key] = process.argv.slice(2);
const KMIPClient = require(path.join(folder, 'build/lib/network/kmip/Client')).default;

const silent = () => undefined;
const logger = { debug: silent, info: silent, warn: console.error, error: console.error };

async function useKeys(client) {
    const call = name => promisify(client[name].bind(client));
    const plain = Buffer.from('the key of an object');
    const bucketKey = await new Promise((resolve, reject) =>
        client.createBucketKey('bucket', logger, (error, id) => (error ? reject(error) : resolve(id))));
    const sealed = await call('cipherDataKey')(1, bucketKey, plain, logger);
    const opened = await call('decipherDataKey')(1, bucketKey, sealed, logger);
    assert.deepStrictEqual(opened, plain);
    await call('healthcheck')(logger);
    await call('destroyBucketKey')(bucketKey, logger);
    await promisify(client.stop.bind(client))();
}

async function main() {
    const tls = {
        host,
        port: Number(port),
        ca: fs.readFileSync(ca),
        cert: fs.readFileSync(cert),
        key: fs.readFileSync(key),
    };
    for (const bucketNameAttributeName of [undefined, 'x-Bucket']) {
        const options = {
            kmip: {
                providerName: 'kmipkit',
                client: { bucketNameAttributeName },
                codec: {},
                transport: { tls },
            },
        };
        await useKeys(new KMIPClient(options));
    }
    console.log('done');
}

main().catch(error => {
    console.error(error);
    process.exit(1);
});
