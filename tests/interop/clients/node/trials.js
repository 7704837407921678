// Does the steps of a trial with the KMIP client of Scality (Arsenal), once for each line of the standard
// input, and answers with a line of their results.
//
// Argument: the folder of the package. A line has HOST, PORT, the files of the authority, certificate and
// key, and two times a Unique Identifier and data (hex). The client cannot get keys: it encrypts the data
// with them, and decrypts it again.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');

const KMIPClient = require(path.join(process.argv[2], 'build/lib/network/kmip/Client')).default;

const silent = () => undefined;
const logger = { debug: silent, info: silent, warn: silent, error: silent };

const call = (client, name, ...values) =>
    new Promise((resolve, reject) => {
        client[name](...values, logger, (error, result) => (error ? reject(error) : resolve(result)));
    });

async function attempt(step) {
    try {
        return await step();
    } catch (error) {
        return `error: ${error.description ?? error.message}`.replace(/\s+/g, ' ');
    }
}

async function trial([host, port, ca, cert, key, first, one, second, two]) {
    const files = { ca: fs.readFileSync(ca), cert: fs.readFileSync(cert), key: fs.readFileSync(key) };
    const tls = { host, port: Number(port), ...files };
    const client = new KMIPClient({
        kmip: { providerName: 'kmipkit', client: {}, codec: {}, transport: { tls } },
    });
    const seal = async (id, data) => {
        const sealed = await call(client, 'cipherDataKey', 1, id, Buffer.from(data, 'hex'));
        return (await call(client, 'decipherDataKey', 1, id, sealed)).toString('hex');
    };
    const results = [
        '-', // it asks by itself, when it connects
        await attempt(async () => { await call(client, 'createBucketKey', 'bucket'); return 'done'; }),
        await attempt(() => seal(first, one)),
        await attempt(() => seal(second, two)),
    ];
    client.stop(silent);
    return results.join('\t');
}

async function main() {
    for await (const line of readline.createInterface({ input: process.stdin })) {
        console.log(await trial(line.split(' ')));
    }
    process.exit(0);
}

main();
