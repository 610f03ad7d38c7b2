# Python's threads, multiprocessing (semaphores and memory in /dev/shm), concurrent.futures, asyncio.
# limit: 120
import asyncio, concurrent.futures as cf, multiprocessing as mp, multiprocessing.shared_memory as shm, os, queue, signal, socket, subprocess, sys, tempfile, threading, time, urllib.parse
if __name__ == "__main__":     # the spawned ones import this file, too
    # threads
    lock, n = threading.Lock(), 0
    def add():
        global n
        for _ in range(5000):
            with lock: n += 1
    ts = [threading.Thread(target=add) for _ in range(8)]; [t.start() for t in ts]; [t.join() for t in ts]; print(n)
    q, done = queue.Queue(10), []
    def consumer():
        while (x := q.get()) is not None: done.append(x * x)
    ts = [threading.Thread(target=consumer) for _ in range(4)]; [t.start() for t in ts]; [q.put(i) for i in range(1000)]; [q.put(None) for _ in ts]; [t.join() for t in ts]; print(sum(done))
    ev, bar, cond = threading.Event(), threading.Barrier(5), threading.Condition(); print(ev.wait(0.02), [t for t in [threading.Timer(0.01, ev.set)] if t.start()], ev.wait(50)); order = []
    def meet(i): bar.wait(); order.append(i)
    ts = [threading.Thread(target=meet, args=[i]) for i in range(5)]; [t.start() for t in ts]; [t.join() for t in ts]; print(sorted(order)); sem = threading.BoundedSemaphore(2); print(sem.acquire(), sem.acquire(), sem.acquire(timeout=0.02)); print(lock.acquire(timeout=0.01), lock.acquire(timeout=0.01)); lock.release(); loc = threading.local(); loc.x = 1; t = threading.Thread(target=lambda: print(hasattr(loc, 'x'))); t.start(); t.join(); print(threading.active_count(), threading.get_native_id() == os.getpid(), threading.stack_size(1 << 20)); [time.sleep(0.01) for _ in iter(lambda: len(os.listdir('/proc/self/task')), 1)]; go_on = threading.Event(); big = [threading.Thread(target=go_on.wait) for _ in range(100)]; [t.start() for t in big]; print(len(os.listdir('/proc/self/task'))); go_on.set(); [t.join() for t in big]
    with cf.ThreadPoolExecutor(5) as ex: print(sum(ex.map(lambda x: x + 1, range(100))), [f.result() for f in cf.as_completed([ex.submit(pow, 2, 10)])])
    t = threading.Thread(target=lambda: subprocess.run(['echo', 'from a thread'])); sys.stdout.flush(); t.start(); t.join(); sys.stdout.flush()
# multiprocessing
def work(x): return x * x, os.getpid() != main
def child(conn, q, v, arr, l, e):
    conn.send({'got': conn.recv()}); q.put([1, 2, 3])
    for _ in range(500):
        with l: v.value += 1
    arr[os.getpid() % 4] = 1.5; e.wait(100); conn.close(); sys.exit(5)
main = os.getpid()
if __name__ == '__main__':
    for method in ('fork', 'spawn', 'forkserver'):
        ctx = mp.get_context(method)
        if method == 'fork':
            with ctx.Pool(3) as pool: print(method, [x for x, ok in pool.map(work, range(10)) if ok], pool.apply_async(work, [7]).get(100)[0], sorted(x for x, _ in pool.imap_unordered(work, range(5), 2)))
        pipes = [ctx.Pipe() for _ in range(3)]; q, v, arr, l, e = ctx.Queue(), ctx.Value('i', 0), ctx.Array('d', 4), ctx.Lock(), ctx.Event()
        ps = [ctx.Process(target=child, args=(b, q, v, arr, l, e)) for _, b in pipes]; [p.start() for p in ps]; [a.send(i) for i, (a, _) in enumerate(pipes)]; print([a.recv()['got'] for a, _ in pipes], [q.get(timeout=100) for _ in ps]); e.set(); [p.join(100) for p in ps]; print(method, v.value, [p.exitcode for p in ps], sum(arr) > 0)
    p = mp.Process(target=time.sleep, args=[100]); p.start(); p.terminate(); p.join(); print(p.exitcode, p.is_alive()); m = shm.SharedMemory(create=True, size=100); m.buf[:3] = b'abc'; other = shm.SharedMemory(m.name); print(bytes(other.buf[:3]), m.size, os.path.exists('/dev/shm/' + m.name)); other.close(); m.close(); m.unlink()
    with mp.Manager() as man: d = man.dict(); p = mp.Process(target=lambda: d.update(k='v')); p.start(); p.join(); print(dict(d))
    with cf.ProcessPoolExecutor(2) as ex: print(list(ex.map(work, range(4))))
    # asyncio
    async def go():
        async def w(i): done = begun.create_future(); begun.call_at(at + 0.02 * (5 - i), done.set_result, None); await done; order.append(i); return i
        begun = asyncio.get_running_loop(); at = begun.time(); order = []; print(await asyncio.gather(*(w(i) for i in range(5))), order)
        p = await asyncio.create_subprocess_exec('sh', '-c', 'read x; echo got $x; echo e >&2; exit 6', stdin=-1, stdout=-1, stderr=-1); print(await p.communicate(b'input\n'), p.returncode); p = await asyncio.create_subprocess_shell('sleep 100'); p.kill(); print(await p.wait()); ps = [await asyncio.create_subprocess_exec('sh', '-c', f'exit {i}') for i in range(8)]; print(await asyncio.gather(*(p.wait() for p in ps)))
        async def serve(r, w):
            while line := await r.readline(): w.write(line.upper()); await w.drain()
            w.close()
        path = tempfile.mkdtemp() + '/s'; srv = await asyncio.start_unix_server(serve, path)
        async def client(i):
            r, w = await asyncio.open_unix_connection(path); w.write(f'hello {i}\n'.encode() * 50); w.write_eof(); data = await r.read(); w.close(); return len(data), data[:8]
        print(await asyncio.gather(*(client(i) for i in range(5)))); srv.close()
        try: await asyncio.wait_for(asyncio.sleep(10), 0.02)
        except TimeoutError: print('timeout')
        loop = asyncio.get_running_loop(); ev = asyncio.Event(); loop.add_signal_handler(signal.SIGUSR1, ev.set); os.kill(os.getpid(), signal.SIGUSR1); await asyncio.wait_for(ev.wait(), 50); print('signal', await loop.run_in_executor(None, lambda: 6 * 7), await asyncio.to_thread(os.getpid) == main); a, b = socket.socketpair(); a.setblocking(False); b.setblocking(False); t = asyncio.create_task(loop.sock_recv(a, 10)); await loop.sock_sendall(b, b'sock'); print(await t); q = asyncio.Queue(); await q.put(1); print(await q.get())
        async with asyncio.TaskGroup() as g: ts = [g.create_task(asyncio.sleep(0.01, i)) for i in range(50)]
        print(sum(t.result() for t in ts))
    asyncio.run(go()); print('end')
