// Joins the multicast group 239.77.7.7:7700, prints what it hears and answers; a stand-in for any LAN program.
import { createSocket } from 'node:dgram';

const [name = '', say = ''] = process.argv.slice(2);
const print = (line) => process.stdout.write(`${line}\n`);
const socket = createSocket({ type: 'udp4', reuseAddr: true });
socket.on('error', (error) => print(`error ${error.code}`));
socket.on('message', (bytes, from) => print(`${bytes.toString()} ${from.address}`));
socket.bind(7700, () => {
  socket.addMembership('239.77.7.7');
  print('ready');
  if (say === '') return;
  let count = 0;
  setInterval(() => {
    count += 1;
    socket.send(`${name}-${count}`, 7700, '239.77.7.7', () => undefined);
  }, Number(say));
});
