await new Promise(() => setInterval(() => {}, 1_000));
