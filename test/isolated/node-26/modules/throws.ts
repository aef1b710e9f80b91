throw new RangeError('it does not want to');
